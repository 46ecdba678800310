# Restate: one node of durable execution, requests to the handlers signed, nothing sent home.
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
  cfg = config.services.everhook.restate;
  toml = pkgs.formats.toml { };
  configuration = toml.generate "restate.toml" cfg.settings;

  # The server takes no notice of a setting that it does not know, so what it says that it has understood is compared.
  check =
    pkgs.runCommand "everhook-restate-configuration"
      {
        nativeBuildInputs = [ pkgs.python3 ];
      }
      ''
        ${lib.getExe cfg.package} --config-file ${configuration} --dump-config > $out
        python3 ${../restate-settings.py} ${configuration} $out
      '';
in
{
  options.services.everhook.restate = {
    enable = lib.mkEnableOption "Restate for Everhook";
    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.restate-server;
      defaultText = lib.literalExpression "everhook.packages.\${system}.restate-server";
      description = "The package that holds restate-server.";
    };
    dataDir = lib.mkOption {
      type = lib.types.path;
      default = "/var/lib/everhook-restate";
      description = "The folder that Restate keeps its data in.";
    };
    address = lib.mkOption {
      type = lib.types.str;
      default = "127.0.0.1";
      description = "The IP address that Restate listens on. Keep its ports away from others.";
    };
    ingressPort = lib.mkOption {
      type = lib.types.port;
      default = 8080;
      description = "The port of Restate's ingress.";
    };
    adminPort = lib.mkOption {
      type = lib.types.port;
      default = 9070;
      description = "The port of Restate's admin API.";
    };
    nodePort = lib.mkOption {
      type = lib.types.port;
      default = 5122;
      description = "The port at which Restate's nodes find each other.";
    };
    identityKeyFile = unit.options.secret ''
      A file with the ed25519 private key, as PEM, that Restate signs its requests to the handlers with
      (`openssl genpkey -algorithm ed25519`).'';
    settings = lib.mkOption {
      inherit (toml) type;
      default = { };
      example = {
        rocksdb-total-memory-size = "1 GiB";
      };
      description = "Restate's configuration, as in restate.toml. Checked when the system is built.";
    };
    inherit (unit.options) configurationCheck otlpEndpoint traceSampleRatio;
  };

  config = lib.mkMerge [
    { services.everhook.restate.configurationCheck = check; }
    (lib.mkIf cfg.enable {
      services.everhook.restate.settings = {
        cluster-name = lib.mkDefault "everhook";
        # The data lies in a folder of this name, so it must not change with the host's.
        node-name = lib.mkDefault "n1";
        base-dir = cfg.dataDir;
        listen-mode = lib.mkDefault "tcp";
        bind-ip = lib.mkDefault cfg.address;
        bind-port = cfg.nodePort;
        advertised-host = lib.mkDefault "127.0.0.1";
        auto-provision = lib.mkDefault true;
        default-num-partitions = lib.mkDefault 2;
        # More than cores: the teardown of a Kafka consumer blocks one.
        default-thread-pool-size = lib.mkDefault 4;
        rocksdb-total-memory-size = lib.mkDefault "512 MiB";
        disable-telemetry = lib.mkDefault true;
        shutdown-timeout = lib.mkDefault "10s";
        log-filter = lib.mkDefault "warn,restate=info";
        log-format = lib.mkDefault "compact";
        log-disable-ansi-codes = lib.mkDefault true;
        tracing-endpoint = lib.mkIf (cfg.otlpEndpoint != null) cfg.otlpEndpoint;
        admin = {
          bind-ip = lib.mkDefault cfg.address;
          bind-port = cfg.adminPort;
          disable-web-ui = lib.mkDefault true;
        };
        ingress = {
          bind-ip = lib.mkDefault cfg.address;
          bind-port = cfg.ingressPort;
        };
      };

      assertions = unit.secretAssertions "services.everhook.restate" {
        inherit (cfg) identityKeyFile;
      };
      system.checks = lib.optional (pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform) check;

      users.users.everhook-restate = {
        isSystemUser = true;
        group = "everhook-restate";
        home = cfg.dataDir;
      };
      users.groups.everhook-restate = { };
      systemd.tmpfiles.settings.everhook-restate.${cfg.dataDir}.d = {
        user = "everhook-restate";
        group = "everhook-restate";
        mode = "0700";
      };

      systemd.services.everhook-restate = {
        description = "Everhook: Restate";
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        after = [ "network-online.target" ];
        startLimitIntervalSec = 0;
        environment = lib.mkMerge [
          (lib.mkIf (cfg.identityKeyFile != null) {
            RESTATE_WORKER__INVOKER__REQUEST_IDENTITY_PRIVATE_KEY_PEM_FILE = "%d/identity-key";
          })
          # Its traces are its own: it can't know which of ours are kept.
          (lib.mkIf (cfg.traceSampleRatio != 1) {
            OTEL_TRACES_SAMPLER = "parentbased_traceidratio";
            OTEL_TRACES_SAMPLER_ARG = toString cfg.traceSampleRatio;
          })
        ];
        serviceConfig =
          unit.hardening
          // unit.patient
          // {
            ExecStart = "${lib.getExe cfg.package} --config-file ${configuration}";
            # It has no notification of its own, so the unit is ready when the server says that it is.
            ExecStartPost = unit.waitFor 60 "http://127.0.0.1:${toString cfg.adminPort}/health";
            DynamicUser = false;
            User = "everhook-restate";
            Group = "everhook-restate";
            LoadCredential = lib.optional (
              cfg.identityKeyFile != null
            ) "identity-key:${toString cfg.identityKeyFile}";
            LimitNOFILE = 65536;
            ReadWritePaths = [ cfg.dataDir ];
            # It looks at the machine's memory and processors.
            ProcSubset = "all";
            TimeoutStartSec = "90s";
            TimeoutStopSec = "30s";
          };
      };
    })
  ];
}
