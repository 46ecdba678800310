# The services: the port each listens on by default, and the word that makes its program serve, where it needs one.
# Images and modules are made from this table; checks/images.nix holds it against the crates.
{
  cdc-relay.port = 3004;
  data-service = {
    port = 3002;
    command = "serve";
  };
  merchant-simulator.port = 4001;
  payments-api.port = 3001;
  portal.port = 3003;
  webhook-consumer = {
    port = 9080;
    command = "serve";
  };
}
