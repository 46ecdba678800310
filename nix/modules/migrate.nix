# Brings the schema up to date before the services of a new version start.
{ self }:
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  unit = import ../unit.nix { inherit lib pkgs utils; };
  cfg = config.services.everhook.migrate;
  services = map (name: "everhook-${name}.service") (
    lib.filter (name: config.services.everhook.${name}.enable) (lib.attrNames (import ../services.nix))
  );
  made = unit.program {
    unit = "everhook-migrate";
    description = "Everhook: bring the schema up to date";
    inherit (cfg) package;
    command = [ "migrate" ];
    flags.database-url = cfg.database.url;
    secrets.database-password-file = cfg.database.passwordFile;
    oneshot = true;
  };
in
{
  options.services.everhook.migrate = {
    enable = lib.mkEnableOption "Everhook's migrations, run before the services start";
    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.data-service;
      defaultText = lib.literalExpression "everhook.packages.\${system}.data-service";
      description = "The package that holds data-service, which brings the migrations.";
    };
    inherit (unit.options) database;
    user = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "everhook";
      description = ''
        The user that the migrations run as, for a database that knows the role by the user (peer). null: a user that
        exists for that moment only.
      '';
    };
    inherit (unit.options) configurationCheck;
  };

  config = lib.mkMerge [
    { services.everhook.migrate.configurationCheck = made.check; }
    (lib.mkIf cfg.enable {
      assertions = unit.secretAssertions "services.everhook.migrate" {
        "database.passwordFile" = cfg.database.passwordFile;
      };
      system.checks = [ made.check ];
      systemd.services.everhook-migrate = lib.mkMerge [
        made.service
        {
          before = services;
          # A service that is restarted while the system is switched comes after the new migrations, too.
          wantedBy = services;
        }
        (lib.mkIf (cfg.user != null) {
          serviceConfig = {
            DynamicUser = lib.mkForce false;
            # The database knows the role by the user that the socket's other end is.
            PrivateUsers = lib.mkForce false;
            User = cfg.user;
          };
        })
      ];
    })
  ];
}
