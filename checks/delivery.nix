# Payments that the API has acknowledged arrive at the merchant: signed, true, none lost, none made up.
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
in
pkgs.testers.runNixOSTest {
  name = "everhook-delivery-${cdc}";
  inherit (vm) nodes;
  testScript =
    { nodes, ... }:
    vm.script { inherit nodes; }
    + ''
      start_everything()

      with subtest("payments are acknowledged"):
          merchant.succeed("${vm.load "--payments 300 --merchants 5 --endpoints-per-merchant 2 --changes 2 --rate 100"}")

      with subtest("everything acknowledged has arrived"):
          verdict()
    '';
}
