# Restate's server and command line as npm publishes them: static programs, fetched by the hashes that npm itself gives.
# nixpkgs has an older one, which its licence keeps out of the public cache and which takes hours to build.
{
  lib,
  stdenvNoCC,
  nodejs,
  cacert,
}:
let
  inherit (stdenvNoCC.hostPlatform) system;
  architectures = {
    x86_64-linux = "x64";
    aarch64-linux = "arm64";
  };
  architecture = architectures.${system} or (throw "there is no Restate package for ${system}");

  # The server's pin is the one that `stack` uses, too.
  lock = lib.importJSON ../crates/stack/src/components/pinned/restate/package-lock.json;
  server = lock.packages."node_modules/@restatedev/restate-server-linux-${architecture}";

  # Of the same version as the server; a mismatch of version and hash fails the fetch.
  commandLine = {
    x64 = "sha512-Qcgu/AwuAWD8+Oj+XJeUs3QC+WURPFiIjlLq0w0wnkGW3LOoCqu9zV9SiyXsAjx95NnYEYfhvh3OuW1e/gusOQ==";
    arm64 = "sha512-nJSNhvtXNW9DCk2RwjjmnxgKyQlVP37NzSfR2WkoZTEuzPL/ogmeUqLz/rSG3Ns3od/ILLQqPX+5Ql53f2j5zw==";
  };

  # nixpkgs has no mirrors for npm packages, so npm itself fetches, from wherever the builder's npm is told to.
  fetch =
    name: version: hash:
    stdenvNoCC.mkDerivation {
      name = "${name}-${version}.tgz";
      nativeBuildInputs = [
        nodejs
        cacert
      ];
      buildCommand = ''
        export HOME=$TMPDIR
        # A proxy with certificates of its own is known to Nix by this variable.
        export NODE_EXTRA_CA_CERTS=''${NIX_SSL_CERT_FILE:-${cacert}/etc/ssl/certs/ca-bundle.crt}
        npm pack --silent @restatedev/${name}@${version}
        mv ./*.tgz $out
      '';
      outputHashMode = "flat";
      outputHash = hash;
      impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "NPM_CONFIG_REGISTRY" ];
    };

  package =
    {
      pname,
      npmName,
      hash,
      program,
      description,
    }:
    stdenvNoCC.mkDerivation {
      inherit pname;
      inherit (server) version;
      src = fetch npmName server.version hash;
      dontConfigure = true;
      dontBuild = true;
      # Linked statically: there is nothing to patch.
      dontPatchELF = true;
      dontStrip = true;
      installPhase = ''
        runHook preInstall
        install -Dm755 bin/${program} $out/bin/${program}
        runHook postInstall
      '';
      meta = {
        inherit description;
        homepage = "https://restate.dev";
        mainProgram = program;
        platforms = lib.attrNames architectures;
        license = lib.licenses.bsl11;
        sourceProvenance = [ lib.sourceTypes.binaryNativeCode ];
      };
    };
in
{
  restate-server = package {
    pname = "restate-server";
    npmName = "restate-server-linux-${architecture}";
    hash = server.integrity;
    program = "restate-server";
    description = "Durable execution server";
  };
  restate-cli = package {
    pname = "restate-cli";
    npmName = "restate-linux-${architecture}";
    hash = commandLine.${architecture};
    program = "restate";
    description = "Restate's command line";
  };
}
