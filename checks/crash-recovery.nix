# Under load every process is killed with SIGKILL in turn, and then the power of the whole platform fails. Nothing that
# was acknowledged is lost.
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
  killed = [
    "postgresql"
    "apache-kafka"
    "everhook-restate"
    "everhook-payments-api"
    "everhook-data-service"
    "everhook-portal"
    "everhook-webhook-consumer"
    vm.captureUnit
  ]
  ++ lib.optional (cdc == "sequin") "redis-everhook-sequin";
in
pkgs.testers.runNixOSTest {
  name = "everhook-crash-recovery-${cdc}";
  nodes = {
    inherit (vm.nodes) platform;
    merchant = {
      imports = [ vm.nodes.merchant ];
      systemd.services.load = {
        description = "Payments at a steady rate, until it is asked to end";
        serviceConfig = {
          ExecStart = vm.load "--duration 2h --rate 20 --merchants 5 --endpoints-per-merchant 2 --answer-within 15m";
          # It ends when all its requests are answered.
          TimeoutStopSec = "20min";
        };
      };
    };
  };
  testScript =
    { nodes, ... }:
    let
      missing = lib.filter (unit: !nodes.platform.systemd.services ? ${unit}) killed;
    in
    assert lib.assertMsg (
      missing == [ ]
    ) "crash-recovery kills units that the platform does not have: ${toString missing}";
    vm.script { inherit nodes; }
    + ''
      def kill(unit: str) -> None:
          before = platform.get_unit_property(unit, "MainPID")
          assert before != "0", f"{unit} does not run"
          platform.succeed(f"systemctl kill --signal=SIGKILL {unit}")
          platform.wait_until_succeeds(
              f"systemctl is-active {unit} && [ $(systemctl show --property=MainPID --value {unit}) != {before} ]",
              timeout=300,
          )


      start_everything()
      merchant.succeed("systemctl start load.service")

    ''
    + lib.concatMapStrings (unit: ''
      with subtest("${unit} is killed"):
          kill("${unit}.service")

    '') killed
    + ''
      with subtest("the power fails"):
          platform.crash()
          platform.start()
          platform_is_up()

      with subtest("the load ends when all its requests are answered"):
          merchant.succeed("systemctl is-active load.service")
          merchant.succeed("systemctl stop load.service", timeout=1300)

      with subtest("everything acknowledged has arrived"):
          verdict()
    '';
}
