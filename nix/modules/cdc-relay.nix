# cdc-relay: PostgreSQL's log to Kafka.
{ self }:
import ../service.nix self "cdc-relay" (
  {
    cfg,
    unit,
    ...
  }:
  {
    options = {
      inherit (unit.options) database kafka topic;
      kafkaPropertiesFile = unit.options.secret "A file with settings of librdkafka, one name=value a line: the place for Kafka's passwords.";
    };
    flags = {
      database-url = cfg.database.url;
      inherit (cfg) kafka topic;
    };
    secrets = {
      database-password-file = "database.passwordFile";
      kafka-properties-file = "kafkaPropertiesFile";
    };
  }
)
