# The built data-service brings every migration that the repository has, byte for byte.
{
  lib,
  pkgs,
  source,
  packages,
}:
pkgs.runCommand "everhook-migrations-check" { } ''
  ${lib.getExe packages.data-service} migrations > $out
  for file in ${source.migrations}/*.sql; do
    echo "$(basename "$file") $(sha384sum < "$file" | cut --delimiter=' ' --fields=1)"
  done | diff - $out || {
    echo "data-service does not bring the migrations of the repository: see nix/source.nix" >&2
    exit 1
  }
''
