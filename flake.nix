{
  description = "Everhook: webhooks for platforms that must never lose one";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    crane.url = "github:ipetkov/crane/v0.23.4";
  };

  outputs =
    {
      self,
      nixpkgs,
      crane,
    }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      everhook = lib.genAttrs systems (
        system:
        import ./nix {
          inherit
            self
            nixpkgs
            crane
            system
            ;
        }
      );
      each = output: lib.mapAttrs (_: outputs: outputs.${output}) everhook;
    in
    {
      packages = each "packages";
      apps = each "apps";
      checks = each "checks";
      devShells = each "devShells";
      formatter = each "formatter";
      nixosModules.default = import ./nix/modules self;
    };
}
