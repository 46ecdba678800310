# Prometheus takes the alerts.
{ pkgs }:
pkgs.runCommand "everhook-alerts" { nativeBuildInputs = [ pkgs.prometheus.cli ]; } ''
  promtool check rules ${../docs/alerts.yml} | tee $out
''
