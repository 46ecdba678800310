# The whole pipeline on one host: PostgreSQL, change data capture, Kafka, Restate and our services, wired to each other.
# Everything here is a default: each part can be switched off and pointed to elsewhere by its own options.
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
  everhook = config.services.everhook;
  cfg = everhook.pipeline;
  secret = name: lib.mkDefault "${cfg.secretsDirectory}/${name}";
  isLocal = {
    sequin = cfg.cdc == "sequin";
    relay = cfg.cdc == "relay";
  };

  # Who logs in, and with whose rights.
  logins = {
    payments-api = "everhook_payments";
    data-service = "everhook_data";
    portal = "everhook_portal";
  }
  // lib.optionalAttrs isLocal.relay { cdc-relay = "everhook_relay"; }
  // lib.optionalAttrs isLocal.sequin { sequin = "everhook_relay"; };
  readsTheLog = [
    "cdc-relay"
    "sequin"
  ];
  role = login: lib.replaceStrings [ "-" ] [ "_" ] login;
  password = login: "postgres-${login}-password";

  database = login: {
    url = lib.mkDefault "postgres://${role login}@127.0.0.1:${toString port}/${name}";
    passwordFile = secret (password login);
  };

  inherit (config.services.postgresql.settings) port;
  # Of the database on this host, and of the user and role that own it.
  name = "everhook";

  services = lib.filter (name: everhook.${name}.enable) (lib.attrNames (import ../services.nix));
  psql = "${config.services.postgresql.finalPackage}/bin/psql";
in
{
  options.services.everhook.pipeline = {
    enable = lib.mkEnableOption "the whole of Everhook on this host";
    cdc = lib.mkOption {
      type = lib.types.enum [
        "relay"
        "sequin"
      ];
      default = "relay";
      description = ''
        What brings changes from PostgreSQL's log to Kafka: our own cdc-relay, or Sequin in a container. The messages are
        the same.
      '';
    };
    secretsDirectory = lib.mkOption {
      type = lib.types.path;
      default = "/var/lib/everhook-secrets";
      description = "The folder of the passwords, tokens and keys that no option names otherwise. Only root may enter it.";
    };
    generateSecrets = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = ''
        Whether what is missing in {option}`services.everhook.pipeline.secretsDirectory` is made at random when the system
        starts. What is there is never changed.
      '';
    };
    postgresql.enable = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = ''
        Whether PostgreSQL runs on this host, with the database, its roles and the migrations. Otherwise set the
        `database.url` of each service and of {option}`services.everhook.migrate`, and make the roles: see
        docs/operations.md.
      '';
    };
    kafka.enable = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = ''
        Whether a single Kafka broker runs on this host. Otherwise set the `kafka` of webhook-consumer and of cdc-relay or
        sequin.
      '';
    };
    inherit (unit.options) otlpEndpoint traceSampleRatio;
    restate.enable = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether Restate runs on this host. Otherwise set webhook-consumer's `restateAdminUrl` and `restateIngressUrl`.";
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        services.everhook = {
          payments-api = {
            enable = lib.mkDefault true;
            tokenFile = lib.mkIf (!everhook.payments-api.open) (secret "payments-api-token");
          };
          data-service = {
            enable = lib.mkDefault true;
            tokenFile = secret "data-service-token";
            portalTokenFile = secret "data-service-portal-token";
            keyFile = secret "endpoint-secrets-key";
          };
          portal = {
            enable = lib.mkDefault true;
            operatorTokenFile = secret "operator-token";
            tokenKeyFile = secret "portal-token-key";
            dataServiceTokenFile = secret "data-service-portal-token";
            dataServiceUrl = lib.mkDefault "http://127.0.0.1:${toString everhook.data-service.port}";
          };
          webhook-consumer = {
            enable = lib.mkDefault true;
            tokenFile = secret "data-service-token";
            identityKeyFile = lib.mkIf (!everhook.webhook-consumer.open) (secret "restate-identity.pub");
            dataServiceUrl = lib.mkDefault "http://127.0.0.1:${toString everhook.data-service.port}";
          };
          cdc-relay.enable = lib.mkDefault isLocal.relay;
          sequin.enable = lib.mkDefault isLocal.sequin;
        };

        # Nothing that needs a secret starts before it is there.
        systemd.services =
          lib.genAttrs
            (
              map (name: "everhook-${name}") services
              ++ lib.optional cfg.restate.enable "everhook-restate"
              ++ lib.optional cfg.postgresql.enable "everhook-logins"
              ++ lib.optional everhook.sequin.enable "everhook-sequin-environment"
            )
            (_: {
              after = lib.mkIf cfg.generateSecrets [ "everhook-secrets.service" ];
              requires = lib.mkIf cfg.generateSecrets [ "everhook-secrets.service" ];
            });
      }

      {
        services.everhook = lib.genAttrs (lib.attrNames (import ../services.nix) ++ [ "restate" ]) (_: {
          otlpEndpoint = lib.mkDefault cfg.otlpEndpoint;
        });
      }

      {
        services.everhook = {
          payments-api.settings.trace-sample-ratio = lib.mkDefault cfg.traceSampleRatio;
          data-service.settings.trace-sample-ratio = lib.mkDefault cfg.traceSampleRatio;
          restate.traceSampleRatio = lib.mkDefault cfg.traceSampleRatio;
        };
      }

      (lib.mkIf cfg.generateSecrets {
        systemd.services.everhook-secrets = {
          description = "Everhook: make the secrets that are missing";
          path = [
            pkgs.coreutils
            pkgs.openssl
          ];
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            UMask = "0077";
          };
          script = ''
            mkdir --parents ${lib.escapeShellArg cfg.secretsDirectory}
            cd ${lib.escapeShellArg cfg.secretsDirectory}

            # An interrupted start must not leave half a secret behind under its name.
            make() {
              local name=$1
              shift
              [ -s "$name" ] && return
              "$@" > ".$name"
              sync ".$name"
              mv ".$name" "$name"
              echo "made $name"
            }
            token() { openssl rand -base64 32 | tr '+/' '-_' | tr --delete '=\n'; }

            for name in payments-api-token data-service-token data-service-portal-token operator-token; do
              make "$name" token
            done
            for login in ${toString (lib.attrNames logins)}; do
              make "postgres-$login-password" token
            done
            make endpoint-secrets-key openssl rand -base64 32
            make portal-token-key openssl rand -base64 32
            make restate-identity.pem openssl genpkey -algorithm ed25519
            make restate-identity.pub openssl pkey -in restate-identity.pem -pubout
          ''
          + lib.optionalString isLocal.sequin ''
            make sequin-secret-key-base openssl rand -hex 48
            make sequin-vault-key openssl rand -base64 32
          '';
        };
      })

      (lib.mkIf cfg.postgresql.enable {
        assertions = [
          {
            assertion = lib.versionAtLeast config.services.postgresql.package.version "15";
            message = "Everhook needs PostgreSQL 15 or newer: set services.postgresql.package.";
          }
        ];

        services.postgresql = {
          enable = true;
          settings = {
            wal_level = "logical";
            # A stopped reader of the log must not fill the disk of the payments: what a lost slot loses, the sweep sends.
            max_slot_wal_keep_size = lib.mkDefault "8GB";
          };
          ensureDatabases = [ name ] ++ lib.optional isLocal.sequin "sequin";
          ensureUsers = [
            {
              inherit name;
              ensureDBOwnership = true;
              ensureClauses.createrole = true;
            }
          ]
          ++ lib.optional isLocal.sequin {
            name = "sequin";
            ensureDBOwnership = true;
          };
        };

        # Owns the schema; only the migrations run as it.
        users.users.${name} = {
          isSystemUser = true;
          group = name;
        };
        users.groups.${name} = { };

        services.everhook = {
          migrate = {
            enable = true;
            user = name;
            # By the socket, where PostgreSQL knows the role by the user.
            database.url = "postgres://${name}@localhost:${toString port}/${name}?host=/run/postgresql";
          };
          payments-api.database = database "payments-api";
          data-service.database = database "data-service";
          portal.database = database "portal";
          cdc-relay.database = lib.mkIf isLocal.relay (database "cdc-relay");
          sequin = {
            source = {
              name = lib.mkDefault name;
              port = lib.mkDefault port;
              passwordFile = secret (password "sequin");
            };
            state = {
              port = lib.mkDefault port;
              passwordFile = secret (password "sequin");
            };
          };
        };

        systemd.services = {
          everhook-migrate = {
            after = [ "postgresql.target" ];
            requires = [ "postgresql.target" ];
          };

          # The group roles come with the migrations, the logins and their passwords with the host.
          everhook-logins = {
            description = "Everhook: the services' logins at PostgreSQL";
            wantedBy = [ "multi-user.target" ];
            after = [ "everhook-migrate.service" ];
            requires = [ "everhook-migrate.service" ];
            before = map (name: "everhook-${name}.service") services;
            serviceConfig = {
              Type = "oneshot";
              RemainAfterExit = true;
              User = "postgres";
              LoadCredential = map (login: "${login}:${cfg.secretsDirectory}/${password login}") (
                lib.attrNames logins
              );
            };
            script =
              "${psql} --quiet --no-psqlrc --set ON_ERROR_STOP=1 --port ${toString port} --dbname ${name} <<'SQL'\n"
              + lib.concatStrings (
                lib.mapAttrsToList (login: group: ''
                  \set password `cat "$CREDENTIALS_DIRECTORY/${login}"`
                  select 'create role ${role login}' where not exists (select from pg_roles where rolname = '${role login}') \gexec
                  alter role ${role login} login ${
                    if lib.elem login readsTheLog then "replication" else "noreplication"
                  } password :'password';
                  grant ${group} to ${role login};
                '') logins
              )
              + lib.optionalString isLocal.sequin ''
                \connect sequin
                create extension if not exists "uuid-ossp";
                create extension if not exists citext;
              ''
              + "SQL\n";
          };
        };
      })

      (lib.mkIf isLocal.sequin {
        # It holds Sequin's position in the log, so every write is kept.
        services.redis.servers.everhook-sequin = {
          enable = true;
          port = 6379;
          appendOnly = true;
          appendFsync = "always";
        };
        services.everhook.sequin = {
          secretKeyBaseFile = secret "sequin-secret-key-base";
          vaultKeyFile = secret "sequin-vault-key";
        };
        systemd.services.podman-everhook-sequin = {
          after = [
            "everhook-logins.service"
            "redis-everhook-sequin.service"
            "apache-kafka.service"
          ];
          # The table must be there before Sequin first starts.
          requires = lib.optional cfg.postgresql.enable "everhook-logins.service";
          wants = [ "redis-everhook-sequin.service" ];
        };
      })

      (lib.mkIf cfg.kafka.enable {
        services.apache-kafka = {
          enable = true;
          clusterId = lib.mkDefault "ZXZlcmhvb2stcGlwZWxpbg";
          formatLogDirs = lib.mkDefault true;
          formatLogDirsIgnoreFormatted = lib.mkDefault true;
          settings = {
            "node.id" = lib.mkDefault 1;
            "process.roles" = [
              "broker"
              "controller"
            ];
            "log.dirs" = lib.mkDefault [ "/var/lib/apache-kafka" ];
            listeners = [
              "PLAINTEXT://127.0.0.1:9092"
              "CONTROLLER://127.0.0.1:9093"
            ];
            "advertised.listeners" = [ "PLAINTEXT://127.0.0.1:9092" ];
            "listener.security.protocol.map" = [
              "PLAINTEXT:PLAINTEXT"
              "CONTROLLER:PLAINTEXT"
            ];
            "controller.quorum.voters" = [ "1@127.0.0.1:9093" ];
            "controller.listener.names" = [ "CONTROLLER" ];
            # A single broker has no second copy of a record, so it flushes each one.
            "log.flush.interval.messages" = lib.mkDefault 1;
            "log.retention.hours" = lib.mkDefault 168;
            "auto.create.topics.enable" = lib.mkDefault false;
            "offsets.topic.num.partitions" = lib.mkDefault 1;
            "offsets.topic.replication.factor" = lib.mkDefault 1;
            "transaction.state.log.replication.factor" = lib.mkDefault 1;
            "transaction.state.log.min.isr" = lib.mkDefault 1;
            "share.coordinator.state.topic.replication.factor" = lib.mkDefault 1;
            "share.coordinator.state.topic.min.isr" = lib.mkDefault 1;
            "group.initial.rebalance.delay.ms" = lib.mkDefault 0;
            # A broker that was killed is let in again only after its old registration has lapsed.
            "broker.session.timeout.ms" = lib.mkDefault 3000;
            "broker.heartbeat.interval.ms" = lib.mkDefault 500;
          };
          jvmOptions = lib.mkDefault [
            "-Xms128m"
            "-Xmx512m"
          ];
        };
        systemd.services.apache-kafka = {
          startLimitIntervalSec = 0;
          serviceConfig = {
            Restart = lib.mkDefault "always";
            RestartSec = lib.mkDefault "1s";
            # It has no notification of its own, so the unit is ready when the broker answers.
            ExecStartPost = unit.waitForPort 60 9092;
          };
        };
      })

      # The relay makes the topic that it writes to; Sequin does not.
      (lib.mkIf (cfg.kafka.enable && everhook.sequin.enable) {
        systemd.services.everhook-topic = {
          description = "Everhook: the topic with the events";
          wantedBy = [ "multi-user.target" ];
          after = [ "apache-kafka.service" ];
          requires = [ "apache-kafka.service" ];
          before = [ "podman-everhook-sequin.service" ];
          requiredBy = [ "podman-everhook-sequin.service" ];
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            DynamicUser = true;
            ExecStart = "${config.services.apache-kafka.package}/bin/kafka-topics.sh --bootstrap-server 127.0.0.1:9092 --create --if-not-exists --topic ${everhook.sequin.topic} --partitions 2 --config retention.ms=604800000";
          };
        };
      })

      (lib.mkIf cfg.restate.enable {
        services.everhook.restate = {
          enable = true;
          identityKeyFile = lib.mkIf (!everhook.webhook-consumer.open) (secret "restate-identity.pem");
        };
        services.everhook.webhook-consumer = {
          restateAdminUrl = lib.mkDefault "http://127.0.0.1:${toString everhook.restate.adminPort}";
          restateIngressUrl = lib.mkDefault "http://127.0.0.1:${toString everhook.restate.ingressPort}";
        };
        systemd.services =
          lib.mkIf (everhook.webhook-consumer.enable && everhook.webhook-consumer.register)
            {
              everhook-register.after = [ "everhook-restate.service" ];
            };
      })
    ]
  );
}
