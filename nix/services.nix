# The services: the port each listens on by default, and the word that makes its program serve, where it needs one. A
# lasting door stays open while one process follows another. `stopWithin` is longer than the program's own limit for the
# work under way, --shutdown-timeout, which is 20 s where nothing else is said.
# Images and modules are made from this table; checks/images.nix holds it against the crates.
{
  cdc-relay.port = 3004;
  data-service = {
    port = 3002;
    command = "serve";
    lasting = true;
  };
  merchant-simulator.port = 4001;
  payments-api = {
    port = 3001;
    lasting = true;
  };
  portal = {
    port = 3003;
    lasting = true;
  };
  webhook-consumer = {
    port = 9080;
    # Its other door is Restate's alone.
    metricsPort = 3005;
    command = "serve";
    lasting = true;
    # Its limit is 75 s: an endpoint may take 60 s to answer.
    stopWithin = "90s";
  };
}
