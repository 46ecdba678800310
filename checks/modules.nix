# What a wrong configuration is told: each of these is refused, and with the reason. And the whole pipeline, in both ways,
# is accepted.
{
  self,
  lib,
  pkgs,
  nixosSystem,
}:
let
  system =
    module:
    (nixosSystem {
      modules = [
        self.nixosModules.default
        {
          system.stateVersion = "26.05";
          boot.loader.grub.enable = false;
          fileSystems."/" = {
            device = "/dev/null";
            fsType = "ext4";
          };
        }
        module
      ];
    }).config;

  pipeline = more: {
    imports = [ more ];
    services.everhook.pipeline.enable = true;
  };

  # Refused when it is evaluated: the name says what, `reason` is in the words that the user reads.
  refusedByAssertion = {
    secret-literal = {
      module = pipeline { services.everhook.portal.operatorTokenFile = "hunter2"; };
      reason = "services.everhook.portal.operatorTokenFile is no path: it holds a secret";
    };
    secret-in-the-store = {
      module = pipeline {
        services.everhook.data-service.keyFile = "${pkgs.writeText "key" "c2VjcmV0"}";
      };
      reason = "services.everhook.data-service.keyFile is in the Nix store";
    };
    secret-as-path-literal = {
      module = pipeline { services.everhook.restate.identityKeyFile = ../flake.nix; };
      reason = "services.everhook.restate.identityKeyFile is in the Nix store";
    };
    both-ways = {
      module = pipeline {
        services.everhook = {
          pipeline.cdc = "sequin";
          cdc-relay.enable = true;
        };
      };
      reason = "sequin and cdc-relay would both publish every event";
    };
    old-postgresql = {
      module = pipeline {
        services.postgresql.package = pkgs.postgresql // {
          version = "14.9";
        };
      };
      reason = "Everhook needs PostgreSQL 15 or newer";
    };
  };

  # Refused when the system is built, by the program itself: its words are in the build's log.
  refusedByProgram = {
    unknown-flag = {
      check =
        (system (pipeline {
          services.everhook.portal.settings.colour = "blue";
        })).services.everhook.portal.configurationCheck;
      reason = "unexpected argument '--colour'";
    };
    no-database = {
      check =
        (system { services.everhook.data-service.enable = true; })
        .services.everhook.data-service.configurationCheck;
      reason = "--database-url";
    };
    password-in-url = {
      check =
        (system (pipeline {
          services.everhook.payments-api.database.url = "postgres://api:hunter2@db/everhook";
        })).services.everhook.payments-api.configurationCheck;
      reason = "keep the password out of the URL";
    };
    open-and-closed = {
      check =
        (system (pipeline {
          services.everhook.webhook-consumer = {
            open = true;
            identityKeyFile = "/run/secrets/restate.pub";
          };
        })).services.everhook.webhook-consumer.configurationCheck;
      reason = "one of the three";
    };
    bad-duration = {
      check =
        (system (pipeline {
          services.everhook.cdc-relay.settings.heartbeat-interval = "often";
        })).services.everhook.cdc-relay.configurationCheck;
      reason = "write a duration like 250ms, 15s or 5m";
    };
    network-without-a-length = {
      check =
        (system (pipeline {
          services.everhook.webhook-consumer.allowNetworks = [ "10.1/16" ];
        })).services.everhook.webhook-consumer.configurationCheck;
      reason = "write a network like 10.1.0.0/16";
    };
    unknown-restate-setting = {
      check =
        (system (pipeline {
          services.everhook.restate.settings.nod-name = "n2";
        })).services.everhook.restate.configurationCheck;
      reason = "Restate does not know nod-name";
    };
  };

  # Accepted, with every part switched on.
  accepted =
    lib.genAttrs [ "relay" "sequin" ] (
      cdc:
      system (pipeline {
        services.everhook.pipeline = { inherit cdc; };
      })
    )
    // {
      elsewhere = system (pipeline {
        services.everhook = lib.mkMerge [
          {
            pipeline = {
              postgresql.enable = false;
              kafka.enable = false;
              restate.enable = false;
            };
            cdc-relay.kafka = [ "kafka.example.com:9092" ];
            webhook-consumer = {
              kafka = [ "kafka.example.com:9092" ];
              restateAdminUrl = "http://restate.example.com:9070";
              restateIngressUrl = "http://restate.example.com:8080";
              advertisedUrl = "http://consumer.example.com:9080";
            };
          }
          (lib.genAttrs
            [
              "payments-api"
              "data-service"
              "portal"
              "cdc-relay"
            ]
            (_: {
              database.url = "postgres://everhook@db.example.com/everhook";
            })
          )
        ];
      });
    };

  failures =
    module: map (one: one.message) (lib.filter (one: !one.assertion) (system module).assertions);
  problems = lib.concatLists (
    lib.mapAttrsToList (
      name: case:
      lib.optional (
        !lib.any (lib.hasInfix case.reason) (failures case.module)
      ) "${name} was not refused with «${case.reason}» but with: ${toString (failures case.module)}"
    ) refusedByAssertion
    ++ lib.mapAttrsToList (
      name: config:
      let
        failed = lib.filter (one: !one.assertion) config.assertions;
      in
      lib.optional (failed != [ ]) "${name} was refused: ${toString (map (one: one.message) failed)}"
    ) accepted
  );

  # Every option says what it is for.
  undescribed =
    let
      evaluated = nixosSystem { modules = [ self.nixosModules.default ]; };
      everhook = lib.optionAttrSetToDocList { inherit (evaluated.options.services) everhook; };
    in
    map (option: option.name) (lib.filter (option: (option.description or null) == null) everhook);

  logs = lib.mapAttrs (_: case: {
    log = pkgs.testers.testBuildFailure case.check;
    inherit (case) reason;
  }) refusedByProgram;
in
assert lib.assertMsg (problems == [ ]) (lib.concatStringsSep "\n" problems);
assert lib.assertMsg (undescribed == [ ]) "options without a description: ${toString undescribed}";
pkgs.runCommand "everhook-modules-check"
  {
    # The configurations that are accepted are checked by their programs, too.
    accepted = lib.concatMap (config: config.system.checks) (lib.attrValues accepted);
  }
  ''
    ${lib.concatStrings (
      lib.mapAttrsToList (name: case: ''
        if ! grep --quiet --fixed-strings -- ${lib.escapeShellArg case.reason} ${case.log}/testBuildFailure.log; then
          echo "${name} was not refused with «${case.reason}» but with:" >&2
          cat ${case.log}/testBuildFailure.log >&2
          exit 1
        fi
      '') logs
    )}
    echo ${toString (lib.length (lib.attrNames refusedByAssertion))} refused when evaluated, \
      ${toString (lib.length (lib.attrNames refusedByProgram))} refused when built, \
      ${toString (lib.length (lib.attrNames accepted))} accepted | tee $out
  ''
