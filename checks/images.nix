# Every service has an image; each runs without root, without a shell, with CA certificates, and can say how it is.
{
  lib,
  pkgs,
  source,
  services,
  packages,
}:
let
  # A program of ours that is no service: a tool of those who run or test Everhook. baseline is what it is compared with.
  tools = [
    "baseline"
    "stack"
    "verifier"
  ];
  expected = lib.subtractLists tools source.binaries;
in
assert lib.assertMsg (lib.attrNames services == expected)
  "nix/services.nix lists ${toString (lib.attrNames services)}, and the crates that are services are ${toString expected}";
pkgs.runCommand "everhook-images-check" { nativeBuildInputs = [ pkgs.python3 ]; } ''
  python3 ${../nix/check-images.py} ${packages.images} ${toString expected} | tee $out
''
