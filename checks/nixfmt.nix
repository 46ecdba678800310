# Every Nix file is formatted.
{ lib, pkgs }:
let
  root = ../.;
  source = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.fileFilter (file: file.hasExt "nix") root;
  };
in
pkgs.runCommand "everhook-nixfmt-check" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
  find ${source} -name '*.nix' -print0 | xargs -0 nixfmt --check
  touch $out
''
