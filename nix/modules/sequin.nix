# Sequin, in a container: PostgreSQL's log to Kafka. It and cdc-relay exclude each other.
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
  cfg = config.services.everhook.sequin;
  yaml = pkgs.formats.yaml { };

  # Sequin replaces ''${…} by the variables of its environment, which is the only place where it takes secrets from.
  configuration = yaml.generate "sequin.yaml" {
    account.name = "everhook";
    databases = [
      {
        name = cfg.source.name;
        hostname = cfg.source.host;
        inherit (cfg.source) port;
        database = cfg.source.name;
        username = cfg.source.user;
        password = "\${SOURCE_PASSWORD}";
        ssl = false;
        pool_size = 10;
        slot = {
          name = cfg.slot;
          create_if_not_exists = true;
        };
        # A migration makes it, before the slot.
        publication = {
          name = "everhook_events";
          create_if_not_exists = false;
        };
        await_database = {
          timeout_ms = 60000;
          interval_ms = 1000;
        };
      }
    ];
    sinks = [
      {
        name = cfg.topic;
        database = cfg.source.name;
        status = "active";
        # Grouped by the primary key, which is the event's id: the record's key, and no event waits for another.
        source.include_tables = [ "public.domain_events" ];
        actions = [ "insert" ];
        batch_size = 100;
        # The other policy loses what does not fit.
        load_shedding_policy = "pause_on_full";
        timestamp_format = "iso8601";
        transform = "none";
        filter = "none";
        routing = "none";
        enrichment = "none";
        destination = {
          type = "kafka";
          hosts = lib.concatStringsSep "," cfg.kafka;
          inherit (cfg) topic;
          tls = false;
          compression = "none";
        };
      }
    ];
  };

  environmentFile = "/run/everhook-sequin/environment";
  secrets = {
    "source-password" = "source.passwordFile";
    "state-password" = "state.passwordFile";
    "secret-key-base" = "secretKeyBaseFile";
    "vault-key" = "vaultKeyFile";
  };
  pathOf = option: lib.getAttrFromPath (lib.splitString "." option) cfg;
  health = "http://127.0.0.1:${toString cfg.port}/health";
in
{
  options.services.everhook.sequin = {
    enable = lib.mkEnableOption "Sequin for Everhook, in a container";
    image = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.sequin-image;
      defaultText = lib.literalExpression "everhook.packages.\${system}.sequin-image";
      description = "The archive with Sequin's image, which has the attributes imageName and imageTag.";
    };
    port = lib.mkOption {
      type = lib.types.port;
      default = 7376;
      description = "The port of Sequin's API, pages and health.";
    };
    metricsPort = lib.mkOption {
      type = lib.types.port;
      default = 8376;
      description = "The port of Sequin's metrics.";
    };
    slot = lib.mkOption {
      type = lib.types.str;
      default = "everhook_sequin";
      description = "The replication slot. Sequin makes it when it first starts, and never again.";
    };
    inherit (unit.options) kafka topic;
    source = {
      host = unit.options.url "127.0.0.1" "The host of the database with the events.";
      port = lib.mkOption {
        type = lib.types.port;
        default = 5432;
        description = "The port of the database with the events.";
      };
      name = unit.options.url "everhook" "The name of the database with the events.";
      user = unit.options.url "sequin" "The role that reads the log; a member of everhook_relay with the attribute replication.";
      passwordFile = unit.options.secret "A file with that role's password.";
    };
    state = {
      host = unit.options.url "127.0.0.1" "The host of the database in which Sequin keeps its own state.";
      port = lib.mkOption {
        type = lib.types.port;
        default = 5432;
        description = "The port of that database.";
      };
      name = unit.options.url "sequin" "The name of that database; it needs the extensions uuid-ossp and citext.";
      user = unit.options.url "sequin" "The role that owns that database.";
      passwordFile = unit.options.secret "A file with that role's password.";
    };
    redisUrl = unit.options.url "redis://127.0.0.1:6379" "A Redis that keeps its data: Sequin's position is there.";
    secretKeyBaseFile = unit.options.secret "A file with at least 64 random bytes as text, with which Sequin signs its sessions.";
    vaultKeyFile = unit.options.secret "A file with base64 of 32 random bytes, with which Sequin encrypts what it keeps.";
    memoryMax = lib.mkOption {
      type = lib.types.str;
      default = "2g";
      description = "The most memory that the container gets, as podman takes it. After a long outage of Kafka Sequin takes all.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions =
      unit.secretAssertions "services.everhook.sequin" (lib.genAttrs (lib.attrValues secrets) pathOf)
      ++ lib.mapAttrsToList (_: option: {
        assertion = pathOf option != null;
        message = "services.everhook.sequin.${option} is missing.";
      }) secrets
      ++ [
        {
          assertion = !config.services.everhook.cdc-relay.enable;
          message = "services.everhook: sequin and cdc-relay would both publish every event; enable one of them.";
        }
      ];

    # The container takes secrets from a file of variables only, so one is made of the credentials, where root alone reads.
    systemd.services.everhook-sequin-environment = {
      description = "Everhook: Sequin's secrets";
      requiredBy = [ "podman-everhook-sequin.service" ];
      before = [ "podman-everhook-sequin.service" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        RuntimeDirectory = "everhook-sequin";
        RuntimeDirectoryMode = "0700";
        UMask = "0077";
        LoadCredential = lib.mapAttrsToList (name: option: "${name}:${toString (pathOf option)}") secrets;
      };
      script = ''
        value() { tr --delete '\n' < "$CREDENTIALS_DIRECTORY/$1"; }
        {
          echo "SOURCE_PASSWORD=$(value source-password)"
          echo "PG_PASSWORD=$(value state-password)"
          echo "SECRET_KEY_BASE=$(value secret-key-base)"
          echo "VAULT_KEY=$(value vault-key)"
        } > ${environmentFile}
      '';
    };

    virtualisation.oci-containers = {
      backend = "podman";
      containers.everhook-sequin = {
        image = "${cfg.image.imageName}:${cfg.image.imageTag}";
        imageFile = cfg.image;
        pull = "never";
        extraOptions = [
          "--network=host"
          "--memory=${cfg.memoryMax}"
        ];
        volumes = [ "${configuration}:/etc/sequin.yaml:ro" ];
        environmentFiles = [ environmentFile ];
        environment = {
          CONFIG_FILE_PATH = "/etc/sequin.yaml";
          SERVER_PORT = toString cfg.port;
          SEQUIN_METRICS_PORT = toString cfg.metricsPort;
          PG_HOSTNAME = cfg.state.host;
          PG_PORT = toString cfg.state.port;
          PG_DATABASE = cfg.state.name;
          PG_USERNAME = cfg.state.user;
          PG_POOL_SIZE = "20";
          REDIS_URL = cfg.redisUrl;
          SEQUIN_TELEMETRY_DISABLED = "true";
          CRASH_REPORTING_DISABLED = "true";
          FEATURE_ACCOUNT_SELF_SIGNUP = "disabled";
          FEATURE_PROVISION_DEFAULT_USER = "disabled";
        };
      };
    };
    systemd.services.podman-everhook-sequin = {
      startLimitIntervalSec = 0;
      serviceConfig = {
        RestartSec = "1s";
        # Three times an Erlang machine starts before it answers.
        ExecStartPost = unit.waitFor 180 health;
      };
    };
  };
}
