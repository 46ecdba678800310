# One small OCI image for each service: its program, CA certificates, and nothing else: no shell, no root.
{
  lib,
  dockerTools,
  cacert,
  runCommand,
  writeText,
  programs,
  services,
  revision,
}:
let
  # The user and group that others call nobody: any number will do, since nothing in the image belongs to it.
  user = "65532:65532";
  seconds = n: n * 1000 * 1000 * 1000;

  image =
    name: service:
    let
      program = programs.${name};
      command = lib.optional (service ? command) service.command;
    in
    dockerTools.streamLayeredImage {
      name = "everhook-${name}";
      tag = program.version;
      contents = [ cacert ];
      config = {
        Entrypoint = [ (lib.getExe program) ];
        Cmd = command;
        User = user;
        Env = [
          "SSL_CERT_FILE=${cacert}/etc/ssl/certs/ca-bundle.crt"
          "EVERHOOK_LISTEN=0.0.0.0:${toString service.port}"
          "EVERHOOK_LOG_FORMAT=json"
        ]
        ++ lib.optional (
          service ? metricsPort
        ) "EVERHOOK_METRICS_LISTEN=0.0.0.0:${toString service.metricsPort}";
        ExposedPorts = lib.genAttrs (map (port: "${toString port}/tcp") (
          [ service.port ] ++ lib.optional (service ? metricsPort) service.metricsPort
        )) (_: { });
        # The program asks itself: no shell and no curl is needed.
        Healthcheck = {
          Test = [
            "CMD"
            (lib.getExe program)
          ]
          ++ command
          ++ [ "--check-health" ];
          Interval = seconds 10;
          Timeout = seconds 5;
          StartPeriod = seconds 10;
          Retries = 3;
        };
        Labels = {
          "org.opencontainers.image.title" = "everhook-${name}";
          "org.opencontainers.image.description" = program.meta.description;
          "org.opencontainers.image.version" = program.version;
          "org.opencontainers.image.revision" = revision;
          "org.opencontainers.image.licenses" = "MIT";
        };
      };
    };

  images = lib.mapAttrs image services;

  manifest = writeText "manifest.json" (
    builtins.toJSON (
      lib.mapAttrsToList (name: image: {
        service = name;
        image = image.imageName;
        tag = image.imageTag;
        inherit (services.${name}) port;
        file = name;
      }) images
    )
  );
in
# Each file writes its image to stdout as docker load and podman load take it.
runCommand "everhook-images" { passthru = { inherit images; }; } ''
  mkdir $out
  cp ${manifest} $out/manifest.json
  ${lib.concatStrings (lib.mapAttrsToList (name: image: "ln -s ${image} $out/${name}\n") images)}
''
