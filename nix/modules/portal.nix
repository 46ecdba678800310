# portal: the operator's door.
{ self }:
import ../service.nix self "portal" (
  {
    cfg,
    unit,
    ...
  }:
  {
    options = {
      inherit (unit.options) database allowNetworks allowHttp;
      operatorTokenFile = unit.options.secret "A file with the token that the operator shows.";
      tokenKeyFile = unit.options.secret "A file with the keys that sign merchants' tokens.";
      dataServiceUrl = unit.options.url "http://127.0.0.1:3002" "Where data-service is.";
      dataServiceTokenFile = unit.options.secret "A file with the token that data-service knows the portal by.";
    };
    flags = {
      database-url = cfg.database.url;
      data-service-url = cfg.dataServiceUrl;
      allow-network = cfg.allowNetworks;
      allow-http = cfg.allowHttp;
    };
    secrets = {
      operator-token-file = "operatorTokenFile";
      token-key-file = "tokenKeyFile";
      data-service-token-file = "dataServiceTokenFile";
      database-password-file = "database.passwordFile";
    };
  }
)
