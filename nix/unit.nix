# How a module makes a systemd unit of one of our programs: flags from options, checked when the system is built; secrets
# as credentials; everything that the program does not need taken away from it.
{
  lib,
  pkgs,
  utils,
}:
let
  # `{ listen = "…"; open = true; unused = null; }` as words of a command line.
  words =
    flags:
    lib.concatLists (
      lib.mapAttrsToList (
        name: value:
        let
          flag = "--${name}";
        in
        if value == null || value == false then
          [ ]
        else if value == true then
          [ flag ]
        else if lib.isList value then
          lib.concatMap (one: [
            flag
            (toString one)
          ]) value
        else
          [
            flag
            (toString value)
          ]
      ) flags
    );

  hardening = {
    AmbientCapabilities = "";
    CapabilityBoundingSet = "";
    DynamicUser = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateTmp = true;
    PrivateUsers = true;
    ProcSubset = "pid";
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    ProtectSystem = "strict";
    RemoveIPC = true;
    RestrictAddressFamilies = [
      "AF_INET"
      "AF_INET6"
      "AF_UNIX"
    ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged"
      "~@resources"
    ];
    UMask = "0077";
  };
in
rec {
  inherit hardening;

  # Comes back after any number of failures: what it needs may be away for hours.
  patient = {
    Restart = "always";
    RestartSec = "1s";
  };

  # A command that ends when something answers 200 at the URL, and fails with its last words if nothing does in time.
  waitFor =
    seconds: url:
    lib.concatStringsSep " " [
      (lib.getExe pkgs.curl)
      "--fail --silent --show-error --output /dev/null --max-time 5"
      "--retry ${toString seconds} --retry-delay 1 --retry-max-time ${toString seconds} --retry-all-errors"
      url
    ];

  # A command that ends when something listens at the port of this host, and fails if nothing does in time.
  waitForPort =
    seconds: port:
    "${pkgs.coreutils}/bin/timeout ${toString seconds} ${pkgs.writeShellScript "wait-for-port" ''
      until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        sleep 0.1
      done
    ''} ${toString port}";

  # A lasting service leaves its listening socket to the process that follows: requests wait there meanwhile.
  # `secrets` are flags whose values are paths of files on the host: systemd hands the files over, whoever owns them.
  program =
    {
      unit,
      description,
      package,
      command ? [ ],
      flags,
      secrets ? { },
      oneshot ? false,
      lasting ? false,
      stopWithin ? "30s",
      # A folder under /var/lib of this name, which is the service's own.
      stateDirectory ? null,
    }:
    let
      given = lib.filterAttrs (_: path: path != null) secrets;
      inDirectory = directory: lib.mapAttrs (name: _: "${directory}/${name}") given;
      start = [ (lib.getExe package) ] ++ command ++ words flags;
      executable = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
    in
    {
      service = {
        inherit description;
        wantedBy = [ "multi-user.target" ];
        wants = [ "network-online.target" ];
        after = [ "network-online.target" ];
        startLimitIntervalSec = 0;
        # What systemd keeps for a unit outlives a restart, but not a stop.
        stopIfChanged = !lasting;
        serviceConfig =
          hardening
          // {
            # %d, the folder of the credentials, is systemd's to fill in, so these words are not escaped.
            ExecStart = lib.concatStringsSep " " (
              [ (utils.escapeSystemdExecArgs start) ] ++ words (inDirectory "%d")
            );
            LoadCredential = lib.mapAttrsToList (name: path: "${name}:${path}") given;
          }
          // (
            if oneshot then
              {
                Type = "oneshot";
                RemainAfterExit = true;
                Restart = "on-failure";
                RestartSec = "1s";
              }
            else
              patient
              // {
                Type = "notify";
                TimeoutStopSec = stopWithin;
              }
              // lib.optionalAttrs lasting { FileDescriptorStoreMax = 1; }
          )
          // lib.optionalAttrs (stateDirectory != null) { StateDirectory = stateDirectory; };
      };

      # Fails where the program refuses its configuration, with the program's own words.
      check =
        if executable then
          pkgs.runCommand "${unit}-configuration" { } ''
            if ! ${lib.escapeShellArgs (start ++ words (inDirectory "/run/credentials/${unit}.service"))} \
              --check-config > $out 2>&1
            then
              cat $out >&2
              echo "The configuration of ${unit} can't be used: see above." >&2
              exit 1
            fi
          ''
        else
          pkgs.emptyFile;
    };

  # Every secret is a path on the host. In the store everybody could read it.
  secretAssertions =
    prefix: secrets:
    lib.mapAttrsToList (
      option: path:
      let
        text = toString path;
      in
      {
        assertion =
          path == null
          || (lib.hasPrefix "/" text && !lib.hasPrefix builtins.storeDir text && lib.isString path);
        message = "${prefix}.${option} is ${
          if lib.hasPrefix "/" text then "in the Nix store, where everybody can read it" else "no path"
        }: it holds a secret, so give the absolute path of a file on the host, as a string.";
      }
    ) secrets;

  options = rec {
    # A file with a secret.
    secret =
      description:
      lib.mkOption {
        # A path literal would be copied into the store: the assertion refuses it with a reason.
        type = lib.types.nullOr (lib.types.either lib.types.path lib.types.str);
        default = null;
        description = "${description} An absolute path on the host, outside the Nix store; systemd reads it as root.";
      };

    # Built with every system, as one of its checks.
    configurationCheck = lib.mkOption {
      type = lib.types.package;
      internal = true;
      readOnly = true;
      description = "Fails to build where the program refuses its configuration.";
    };

    # Flags of one of our programs, by name.
    settings = lib.types.attrsOf (
      lib.types.nullOr (
        lib.types.oneOf [
          lib.types.bool
          lib.types.int
          lib.types.str
          (lib.types.listOf lib.types.str)
        ]
      )
    );

    url =
      default: description:
      lib.mkOption {
        type = lib.types.str;
        inherit default description;
      };

    kafka = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ "127.0.0.1:9092" ];
      example = [
        "kafka-1:9092"
        "kafka-2:9092"
      ];
      description = "Kafka's brokers, as host:port.";
    };

    restateAdminUrl = url "http://127.0.0.1:9070" "Restate's admin API.";
    restateAdminTokenFile = secret "A file with the token for Restate's admin API, if it asks for one.";

    allowNetworks = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "10.1.0.0/16" ];
      description = ''
        Networks that webhooks may be sent to although they are not public, in CIDR notation. webhook-consumer and the
        portal judge alike: give both the same.
      '';
    };
    allowHttp = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Let webhooks be sent without TLS.";
    };

    otlpEndpoint = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = null;
      example = "http://127.0.0.1:4317";
      description = ''
        Who collects the spans, over OTLP/gRPC. Without it there are none. What is not sent yet outlives a crash in a folder
        under /var/lib.
      '';
    };

    traceSampleRatio = lib.mkOption {
      type = lib.types.numbers.between 0 1;
      default = 1;
      example = 0.1;
      description = "Which share of the traces is kept, from 0 to 1.";
    };

    topic = lib.mkOption {
      type = lib.types.str;
      default = "webhook-events";
      description = "Kafka's topic with the events.";
    };

    database = {
      url = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        example = "postgres://role@db.example.com:5432/everhook";
        description = "The database, as postgres://role@host:port/name. The password stays out of it.";
      };
      passwordFile = secret "A file with the password of the database role.";
    };
  };
}
