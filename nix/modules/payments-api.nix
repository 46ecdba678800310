# payments-api: accepts payments; each change commits with its event.
{ self }:
import ../service.nix self "payments-api" (
  {
    cfg,
    lib,
    unit,
  }:
  {
    options = {
      inherit (unit.options) database;
      tokenFile = unit.options.secret "A file with the token that every request must bring.";
      open = lib.mkOption {
        type = lib.types.bool;
        default = false;
        description = "Ask for no token: whoever reaches the port may make payments.";
      };
      demoMerchant = lib.mkOption {
        type = lib.types.bool;
        default = false;
        description = "Take payments that name no merchant for a merchant named \"Demo merchant\".";
      };
    };
    flags = {
      database-url = cfg.database.url;
      inherit (cfg) open;
      demo-merchant = cfg.demoMerchant;
    };
    secrets = {
      token-file = "tokenFile";
      database-password-file = "database.passwordFile";
    };
  }
)
