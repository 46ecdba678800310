# `nix develop`: what building, testing and the scripts need. `stack` finds the components by variables and fetches none.
{
  craneLib,
  environment,
  cmake,
  gnumake,
  pkg-config,
  nixfmt,
  cargo-deny,
  cargo-insta,
  postgresql_18,
  prometheus,
  restate-cli,
  jq,
  curl,
  openssl,
  nodejs,
  python3,
}:
craneLib.devShell (
  environment
  // {
    packages = [
      cmake
      gnumake
      pkg-config
      nixfmt
      cargo-deny
      cargo-insta
      postgresql_18
      prometheus
      restate-cli
      jq
      curl
      openssl
      nodejs
      (python3.withPackages (python: [ python.pip ]))
    ];
  }
)
