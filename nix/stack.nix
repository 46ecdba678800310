# stack, with everything that it starts: nixpkgs' PostgreSQL and Kafka, our Restate, our services, and beside them
# baseline, which a crash test compares them with. It fetches nothing.
{
  lib,
  runCommand,
  makeWrapper,
  symlinkJoin,
  programs,
  services,
  environment,
}:
let
  binaries = symlinkJoin {
    name = "everhook-services";
    paths = map (name: programs.${name}) (lib.attrNames services ++ [ "baseline" ]);
  };
in
runCommand "stack-${programs.stack.version}"
  {
    nativeBuildInputs = [ makeWrapper ];
    inherit (programs.stack) meta;
  }
  ''
    makeWrapper ${lib.getExe programs.stack} $out/bin/stack \
      --set-default EVERHOOK_BIN_DIR ${binaries}/bin \
      ${lib.concatStringsSep " " (
        lib.mapAttrsToList (name: value: "--set-default ${name} ${value}") environment
      )}
  ''
