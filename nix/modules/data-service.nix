# data-service: the truth at delivery time, and the ledger.
{ self }:
import ../service.nix self "data-service" (
  {
    cfg,
    unit,
    ...
  }:
  {
    options = {
      inherit (unit.options) database;
      tokenFile = unit.options.secret "A file with the token that webhook-consumer shows.";
      portalTokenFile = unit.options.secret "A file with the token that the portal shows.";
      keyFile = unit.options.secret ''
        A file with the keys that encrypt signing secrets: one a line, base64 of 32 random bytes. The first one encrypts,
        all of them decrypt.'';
    };
    flags.database-url = cfg.database.url;
    secrets = {
      token-file = "tokenFile";
      portal-token-file = "portalTokenFile";
      key-file = "keyFile";
      database-password-file = "database.passwordFile";
    };
  }
)
