# The flake's outputs for one system.
{
  self,
  nixpkgs,
  crane,
  system,
}:
let
  inherit (nixpkgs) lib;
  pkgs = import nixpkgs {
    inherit system;
    # Restate is under the Business Source License.
    config.allowUnfreePredicate =
      package:
      builtins.elem (lib.getName package) [
        "restate-server"
        "restate-cli"
      ];
  };

  craneLib = crane.mkLib pkgs;
  source = import ./source.nix { inherit lib; };
  services = import ./services.nix;
  rust = pkgs.callPackage ./packages.nix { inherit craneLib source; };
  inherit (rust) programs;
  restate = { inherit (pkgs.callPackage ./restate.nix { }) restate-server restate-cli; };
  environment = import ./components.nix {
    inherit (pkgs) lib postgresql_18 apacheKafka;
    inherit (restate) restate-server;
  };

  stack = pkgs.callPackage ./stack.nix { inherit programs services environment; };
  images = pkgs.callPackage ./images.nix {
    inherit programs services;
    revision = self.rev or "unknown";
  };
  sequin-image = import ./sequin.nix { fetchOci = pkgs.callPackage ./fetch-oci.nix { }; };

  module = self.nixosModules.default;
  nixosSystem = args: lib.nixosSystem (args // { inherit system; });

  application = description: package: {
    type = "app";
    program = lib.getExe package;
    meta = { inherit description; };
  };

  packages =
    programs
    // restate
    // {
      inherit images stack sequin-image;
      stack-unwrapped = programs.stack;
      default = stack;
      docs = pkgs.callPackage ./options-reference.nix { inherit module nixosSystem; };
      units = pkgs.callPackage ./units.nix { inherit module nixosSystem; };
    };
in
{
  inherit packages;

  apps = {
    default =
      application
        "Runs everything on this machine and shows webhooks on their way; with arguments, as stack"
        (
          pkgs.writeShellApplication {
            name = "everhook";
            text = ''
              [ $# -gt 0 ] || set -- demo
              exec ${lib.getExe stack} "$@"
            '';
          }
        );
    update-images = application "Writes the lock of Sequin's image, from its registry" (
      pkgs.writeShellApplication {
        name = "update-images";
        text = ''
          exec ${lib.getExe pkgs.python3} ${./update-images.py} \
            sequin/sequin ${(import ./sequin.nix { fetchOci = lib.id; }).digest} nix/sequin.lock.json "$@"
        '';
      }
    );
  };

  # A check is a file in checks/. One that takes `cdc` is there once for each way from PostgreSQL to Kafka.
  checks =
    rust.checks
    // import ./checks.nix {
      inherit lib;
      arguments = {
        inherit
          self
          lib
          pkgs
          source
          services
          packages
          nixosSystem
          ;
      };
    };

  devShells.default = pkgs.callPackage ./devshell.nix {
    inherit craneLib environment;
    inherit (restate) restate-cli;
  };

  formatter = pkgs.nixfmt-tree;
}
