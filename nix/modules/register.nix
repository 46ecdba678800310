# Registers webhook-consumer with Restate once at each start. It may be repeated; webhook-consumer looks after the
# registration, too.
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
  cfg = config.services.everhook.webhook-consumer;
  made = unit.program {
    unit = "everhook-register";
    description = "Everhook: register with Restate";
    inherit (cfg) package;
    command = [ "register" ];
    flags = {
      restate-admin-url = cfg.restateAdminUrl;
      advertised-url = cfg.advertisedUrl;
      kafka = lib.concatStringsSep "," cfg.kafka;
      inherit (cfg) topic;
    };
    secrets.restate-admin-token-file = cfg.restateAdminTokenFile;
    oneshot = true;
  };
in
{
  options.services.everhook.webhook-consumer.register = lib.mkOption {
    type = lib.types.bool;
    default = true;
    description = ''
      Whether a oneshot unit, everhook-register, registers webhook-consumer with Restate when it starts, so that a
      deployment fails where that fails.
    '';
  };

  config = lib.mkIf (cfg.enable && cfg.register) {
    system.checks = [ made.check ];
    systemd.services.everhook-register = lib.mkMerge [
      made.service
      {
        after = [ "everhook-webhook-consumer.service" ];
        wants = [ "everhook-webhook-consumer.service" ];
        # A new version of the handlers is a new registration.
        restartTriggers = [ cfg.package ];
      }
    ];
  };
}
