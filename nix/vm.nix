# The two machines of the VM tests, and what their scripts share: the platform runs the whole pipeline, the merchant
# receives, and beside it the verifier, which knows URLs only, drives the load and gives the verdict.
{
  self,
  lib,
  packages,
  services,
  cdc,
}:
let
  door = {
    address = "0.0.0.0";
    openFirewall = true;
  };
  # The merchant is in the test's own network, and has no certificate.
  toMerchant = {
    allowNetworks = [
      "192.168.0.0/16"
      "2001:db8::/32"
    ];
    allowHttp = true;
  };
  tokens = "/var/lib/everhook-tokens";
  account = "/var/lib/account.jsonl";
  otlpPort = 4317;
  spans = "/var/lib/opentelemetry-collector/spans.jsonl";
  metrics = "/var/lib/opentelemetry-collector/metrics.jsonl";
  url = machine: service: "http://${machine}:${toString services.${service}.port}";
  portal = "--portal-url ${url "platform" "portal"} --operator-token-file ${tokens}/operator-token";
  captureUnit = if cdc == "relay" then "everhook-cdc-relay" else "podman-everhook-sequin";
in
{
  nodes = {
    platform =
      { pkgs, ... }:
      {
        imports = [ self.nixosModules.default ];
        services.everhook = {
          pipeline = {
            enable = true;
            inherit cdc;
            otlpEndpoint = "http://127.0.0.1:${toString otlpPort}";
          };
          payments-api = door;
          portal = door // toMerchant;
          webhook-consumer = toMerchant;
        };
        # The merchant's spans come here, too.
        networking.firewall.allowedTCPPorts = [ otlpPort ];
        services.opentelemetry-collector = {
          enable = true;
          # The exporter to a file is in this one only.
          package = pkgs.opentelemetry-collector-contrib;
          settings = {
            receivers.otlp.protocols.grpc.endpoint = "0.0.0.0:${toString otlpPort}";
            exporters."file/spans".path = spans;
            exporters."file/metrics".path = metrics;
            service.pipelines = {
              traces = {
                receivers = [ "otlp" ];
                exporters = [ "file/spans" ];
              };
              metrics = {
                receivers = [ "otlp" ];
                exporters = [ "file/metrics" ];
              };
            };
          };
        };
        virtualisation = {
          cores = 2;
          memorySize = 6144;
          diskSize = 8192;
        };
      };

    merchant = {
      imports = [ self.nixosModules.default ];
      services.everhook.merchant-simulator = door // {
        enable = true;
        otlpEndpoint = "http://platform:${toString otlpPort}";
      };
      environment.systemPackages = [ packages.verifier ];
    };
  };

  # The unit that brings changes to Kafka.
  inherit captureUnit;

  # Where the collector writes them, on the platform.
  inherit spans metrics;

  # Makes merchants with their endpoints, and payments; ends when every request is answered.
  load =
    more:
    lib.concatStringsSep " " [
      "${lib.getExe packages.verifier} load --account ${account}"
      "--api-url ${url "platform" "payments-api"} --token-file ${tokens}/payments-api-token"
      portal
      "--simulator-url ${url "merchant" "merchant-simulator"}"
      more
    ];

  # Functions for the scripts. Only `verdict` judges, by the verifier's exit code; what it prints names every id.
  script =
    { nodes }:
    ''
      def platform_is_up() -> None:
          platform.wait_for_unit("multi-user.target")
          platform.wait_for_unit("everhook-register.service")
          platform.wait_for_unit("${captureUnit}.service")


      def start_everything() -> None:
          start_all()
          platform_is_up()
          merchant.wait_for_unit("everhook-merchant-simulator.service")
          merchant.succeed("install --directory --mode=0700 ${tokens}")
          for name in ["payments-api-token", "operator-token"]:
              token = platform.succeed(f"cat ${nodes.platform.services.everhook.pipeline.secretsDirectory}/{name}").strip()
              merchant.succeed(f"echo {token} > ${tokens}/{name}")


      def verdict() -> None:
          print(merchant.succeed("verifier verdict --account ${account} --wait 10m --late-after 30m"))
          print(merchant.succeed("verifier audit --since 2h ${portal}"))


    '';
}
