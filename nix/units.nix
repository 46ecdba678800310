# The units of our services as files, for a host with systemd that is no NixOS: PostgreSQL and Kafka are elsewhere, and the
# secrets are files in /var/lib/everhook-secrets, made by everhook-secrets.service where they are missing.
{
  lib,
  linkFarm,
  writeText,
  module,
  nixosSystem,
}:
let
  secrets = "/var/lib/everhook-secrets";
  database = login: {
    url = "postgres://${lib.replaceStrings [ "-" ] [ "_" ] login}@127.0.0.1:5432/everhook";
    passwordFile = "${secrets}/postgres-${login}-password";
  };
  inherit
    (nixosSystem {
      modules = [
        module
        {
          services.everhook = {
            pipeline = {
              enable = true;
              secretsDirectory = secrets;
              postgresql.enable = false;
              kafka.enable = false;
              restate.enable = false;
            };
            payments-api.database = database "payments-api";
            data-service.database = database "data-service";
            portal.database = database "portal";
            cdc-relay.database = database "cdc-relay";
            merchant-simulator.enable = true;
            webhook-consumer.register = false;
          };
        }
      ];
    })
    config
    ;
  ours = lib.filterAttrs (name: _: lib.hasPrefix "everhook-" name) config.systemd.units;
in
linkFarm "everhook-units" (lib.mapAttrs (name: unit: writeText name unit.text) ours)
