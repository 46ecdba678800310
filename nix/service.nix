# The NixOS module of one of our services. What differs from service to service comes from `specific`: further options,
# the flags that they become, and which of them are secrets (flag → option).
self: name: specific:
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  unit = import ./unit.nix { inherit lib pkgs utils; };
  cfg = config.services.everhook.${name};
  service = (import ./services.nix).${name};
  inherit (specific { inherit cfg lib unit; }) options flags secrets;

  pathOf = option: lib.getAttrFromPath (lib.splitString "." option) cfg;
  state = "everhook-${name}";
  host = if lib.hasInfix ":" cfg.address then "[${cfg.address}]" else cfg.address;

  made = unit.program {
    unit = "everhook-${name}";
    description = "Everhook: ${name}";
    inherit (cfg) package;
    command = lib.optional (service ? command) service.command;
    flags = {
      listen = "${host}:${toString cfg.port}";
      otlp-endpoint = cfg.otlpEndpoint;
      span-spool = if cfg.otlpEndpoint == null then null else "/var/lib/${state}/spans";
    }
    // lib.optionalAttrs (service ? metricsPort) {
      metrics-listen = "${host}:${toString cfg.metricsPort}";
    }
    // flags
    // cfg.settings;
    secrets = lib.mapAttrs (_: pathOf) secrets;
    lasting = service.lasting or false;
    stopWithin = service.stopWithin or "30s";
    stateDirectory = if cfg.otlpEndpoint == null then null else state;
  };
in
{
  options.services.everhook.${name} = {
    enable = lib.mkEnableOption "Everhook's ${name}";
    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.${name};
      defaultText = lib.literalExpression "everhook.packages.\${system}.${name}";
      description = "The package that holds ${name}.";
    };
    address = lib.mkOption {
      type = lib.types.str;
      default = "127.0.0.1";
      example = "0.0.0.0";
      description = "The IP address that ${name} listens on.";
    };
    port = lib.mkOption {
      type = lib.types.port;
      default = service.port;
      description = "The port that ${name} listens on.";
    };
    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether the firewall lets others reach ${name}'s port.";
    };
    settings = lib.mkOption {
      type = unit.options.settings;
      default = { };
      example = {
        log-format = "json";
        threads = 2;
      };
      description = ''
        Further flags of ${name}, by their long names without the dashes: see `${name} --help`. They are checked when the
        system is built. Secrets don't belong here.
      '';
    };
    inherit (unit.options) configurationCheck otlpEndpoint;
  }
  // lib.optionalAttrs (service ? metricsPort) {
    metricsPort = lib.mkOption {
      type = lib.types.port;
      default = service.metricsPort;
      description = "The port of ${name}'s metrics and health, at the same address. The firewall stays closed for it.";
    };
  }
  // options;

  config = lib.mkMerge [
    { services.everhook.${name}.configurationCheck = made.check; }
    (lib.mkIf cfg.enable {
      assertions = unit.secretAssertions "services.everhook.${name}" (
        lib.genAttrs (lib.attrValues secrets) pathOf
      );
      system.checks = [ made.check ];
      systemd.services."everhook-${name}" = made.service;
      networking.firewall.allowedTCPPorts = lib.optional cfg.openFirewall cfg.port;
    })
  ];
}
