# Every file in checks/ is a check, by the name of the file. One that takes `cdc` is made once for each way from
# PostgreSQL to Kafka, and its name says which.
{ lib, arguments }:
let
  directory = ../checks;
  files = lib.filter (lib.hasSuffix ".nix") (lib.attrNames (builtins.readDir directory));
  ways = [
    "relay"
    "sequin"
  ];
  made =
    file:
    let
      name = lib.removeSuffix ".nix" file;
      check = import (directory + "/${file}");
      wanted = lib.functionArgs check;
      call = more: check (lib.intersectAttrs wanted (arguments // more));
    in
    if wanted ? cdc then
      map (
        cdc:
        lib.nameValuePair "${name}-${cdc}" (call {
          inherit cdc;
        })
      ) ways
    else
      [ (lib.nameValuePair name (call { })) ];
in
lib.listToAttrs (lib.concatMap made files)
