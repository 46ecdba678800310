# The variables by which `stack` uses components that are installed, and the components of this nixpkgs.
{
  lib,
  postgresql_18,
  apacheKafka,
  restate-server,
}:
{
  EVERHOOK_POSTGRES_BIN = "${postgresql_18}/bin";
  EVERHOOK_KAFKA_LIBS = "${apacheKafka}/libs";
  EVERHOOK_JAVA = "${apacheKafka.passthru.jre}/bin/java";
  EVERHOOK_RESTATE_SERVER = lib.getExe restate-server;
}
