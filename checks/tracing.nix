# Every hop of every event that was delivered has its span, in one trace, also where a consumer was killed.
{
  self,
  lib,
  pkgs,
  packages,
  services,
  cdc,
}:
let
  vm = import ../nix/vm.nix {
    inherit
      self
      lib
      packages
      services
      cdc
      ;
  };
  url = service: "http://127.0.0.1:${toString services.${service}.port}";
in
pkgs.testers.runNixOSTest {
  name = "everhook-tracing-${cdc}";
  inherit (vm) nodes;
  testScript =
    { nodes, ... }:
    let
      inherit (nodes.platform.services.everhook.pipeline) secretsDirectory;
    in
    vm.script { inherit nodes; }
    + ''
      start_everything()

      with subtest("payments arrive while the consumer is killed"):
          merchant.succeed("${vm.load "--payments 150 --merchants 5 --endpoints-per-merchant 2 --changes 1 --rate 50"}")
          platform.succeed("systemctl kill --signal=KILL everhook-webhook-consumer.service")
          merchant.succeed("${vm.load "--payments 150 --merchants 5 --endpoints-per-merchant 2 --changes 1 --rate 50"}")
          verdict()

      with subtest("every hop of every delivered event has its span"):
          print(platform.succeed("${lib.getExe packages.verifier} traces --spans ${vm.spans} --since 2h --wait 2m --portal-url ${url "portal"} --operator-token-file ${secretsDirectory}/operator-token"))

      with subtest("metrics come to the collector, too"):
          for metric in ["everhook.delivery.commit_to_arrival", "everhook.events.unrouted"]:
              platform.wait_until_succeeds(f"grep --quiet {metric} ${vm.metrics}", timeout=180)
    '';
}
