# merchant-simulator: stands for all merchants of a test. It is no part of a production.
{ self }:
import ../service.nix self "merchant-simulator" (_: {
  options = { };
  flags = { };
  secrets = { };
})
