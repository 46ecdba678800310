# data-service: the truth at delivery time, and the ledger.
{ self }:
import ../service.nix self "data-service" (
  {
    cfg,
    lib,
    unit,
  }:
  {
    options = {
      inherit (unit.options) database;
      tokenFile = unit.options.secret "A file with the token that webhook-consumer shows.";
      portalTokenFile = unit.options.secret "A file with the token that the portal shows.";
      keyFile = unit.options.secret ''
        A file with the keys that encrypt signing secrets: one a line, base64 of 32 random bytes. The first one encrypts,
        all of them decrypt.'';
      keepEvents = lib.mkOption {
        type = lib.types.str;
        default = "30d";
        example = "180d";
        description = "How long events are kept, in whole days: 7 at least, as long as Kafka keeps them.";
      };
      keepLedger = lib.mkOption {
        type = lib.types.str;
        default = "90d";
        example = "2y";
        description = "How long it is kept what became of events, in whole days: as long as the events at least.";
      };
    };
    flags = {
      database-url = cfg.database.url;
      keep-events = cfg.keepEvents;
      keep-ledger = cfg.keepLedger;
    };
    secrets = {
      token-file = "tokenFile";
      portal-token-file = "portalTokenFile";
      key-file = "keyFile";
      database-password-file = "database.passwordFile";
    };
  }
)
