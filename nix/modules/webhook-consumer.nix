# webhook-consumer: delivers, durably.
{ self }:
import ../service.nix self "webhook-consumer" (
  {
    cfg,
    lib,
    unit,
  }:
  {
    options = {
      dataServiceUrl = unit.options.url "http://127.0.0.1:3002" "Where data-service is.";
      tokenFile = unit.options.secret "A file with the token for data-service.";
      advertisedUrl = lib.mkOption {
        type = lib.types.str;
        default = "http://127.0.0.1:${toString cfg.port}";
        defaultText = lib.literalExpression ''"http://127.0.0.1:''${port}"'';
        description = "Where Restate reaches this service.";
      };
      restateIngressUrl = unit.options.url "http://127.0.0.1:8080" "Restate's ingress.";
      inherit (unit.options) restateAdminUrl restateAdminTokenFile;
      identityKeyFile = unit.options.secret ''
        A file with the public half of the key that Restate signs its requests with, as Restate prints it (publickeyv1_…)
        or as PEM. It is no secret, but made beside one.'';
      open = lib.mkOption {
        type = lib.types.bool;
        default = false;
        description = "Take requests that nobody has signed. Only where nobody else can reach the port.";
      };
      inherit (unit.options)
        kafka
        topic
        allowNetworks
        allowHttp
        ;
      stalledAfter = lib.mkOption {
        type = lib.types.str;
        default = "60s";
        example = "5m";
        description = ''
          Restate's subscription is made anew if its Kafka group commits nothing for so long although the topic grows; 10s
          at least.'';
      };
    };
    flags = {
      data-service-url = cfg.dataServiceUrl;
      advertised-url = cfg.advertisedUrl;
      restate-ingress-url = cfg.restateIngressUrl;
      restate-admin-url = cfg.restateAdminUrl;
      inherit (cfg) open topic;
      stalled-after = cfg.stalledAfter;
      kafka = lib.concatStringsSep "," cfg.kafka;
      allow-network = cfg.allowNetworks;
      allow-http = cfg.allowHttp;
    };
    secrets = {
      token-file = "tokenFile";
      restate-admin-token-file = "restateAdminTokenFile";
      identity-key-file = "identityKeyFile";
    };
  }
)
