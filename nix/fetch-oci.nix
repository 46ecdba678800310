# Fetches an OCI image of which only the digest is known: each of its objects (index, manifest, configuration, layers) is
# a fixed-output derivation of its own, whose hash is the digest that the object before it names.
#
# Without a lock the index and the manifest are read while the flake is evaluated (import from derivation). With one,
# made by `nix run .#update-images`, nothing is.
{
  lib,
  stdenvNoCC,
  runCommand,
  writeText,
  curl,
  jq,
  cacert,
}:
{
  # The repository at the registry, and the tag that the loaded image is given.
  name,
  tag,
  # sha256:… of the index, or of the manifest itself.
  digest,
  registry ? "registry-1.docker.io",
  scheme ? "https",
  # The name that the image is loaded under.
  reference ? "docker.io/${name}:${tag}",
  architecture ? stdenvNoCC.hostPlatform.go.GOARCH,
  # A file with the manifests of all architectures, by architecture; null or missing: read from the registry.
  lockFile ? null,
}:
let
  hex =
    digest:
    let
      match = builtins.match "sha256:([0-9a-f]{64})" digest;
    in
    if match == null then
      throw "the image ${name} has the digest '${digest}': write sha256: and 64 hexadecimal digits"
    else
      builtins.head match;

  slug = lib.replaceStrings [ "/" ] [ "-" ] name;

  mediaTypes = [
    "application/vnd.oci.image.index.v1+json"
    "application/vnd.oci.image.manifest.v1+json"
    "application/vnd.docker.distribution.manifest.list.v2+json"
    "application/vnd.docker.distribution.manifest.v2+json"
    "application/octet-stream"
  ];

  # The registry says in the answer's header where a token is to be had, if it wants one.
  object =
    kind: digest:
    stdenvNoCC.mkDerivation {
      name = "${slug}-${builtins.substring 0 12 (hex digest)}";
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = hex digest;
      nativeBuildInputs = [
        curl
        jq
      ];
      env = {
        SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
        url = "${scheme}://${registry}/v2/${name}/${kind}/${digest}";
        accept = "Accept: ${lib.concatStringsSep ", " mediaTypes}";
        scope = "repository:${name}:pull";
      };
      impureEnvVars = lib.fetchers.proxyImpureEnvVars;
      preferLocalBuild = true;
      buildCommand = ''
        ask() { curl --fail --silent --show-error --location --retry 5 --retry-all-errors --connect-timeout 30 "$@"; }
        challenge=$(curl --silent --show-error --retry 5 --retry-connrefused --connect-timeout 30 --head --output /dev/null \
          --write-out '%header{www-authenticate}' --header "$accept" "$url")
        credentials=()
        case $challenge in
          [Bb]earer*)
            realm=$(sed -n 's/.*realm="\([^"]*\)".*/\1/p' <<<"$challenge")
            service=$(sed -n 's/.*service="\([^"]*\)".*/\1/p' <<<"$challenge")
            token=$(ask --get "$realm" --data-urlencode "service=$service" --data-urlencode "scope=$scope" |
              jq --exit-status --raw-output '.token // .access_token')
            credentials=(--header "Authorization: Bearer $token")
            ;;
        esac
        ask --header "$accept" "''${credentials[@]}" --output $out "$url"
      '';
    };

  read = file: builtins.fromJSON (builtins.unsafeDiscardStringContext (builtins.readFile file));

  locked =
    let
      lock = lib.importJSON lockFile;
    in
    if lockFile == null || !builtins.pathExists lockFile then
      null
    else if lock.digest != digest then
      throw "${baseNameOf lockFile} is for ${lock.digest}, not for ${digest}: run nix run .#update-images"
    else
      lock.manifests.${architecture} or (throw "${baseNameOf lockFile} has nothing for ${architecture}");

  fromRegistry =
    let
      top = read (object "manifests" digest);
      entry = lib.findFirst (
        entry: entry.platform.os == "linux" && entry.platform.architecture == architecture
      ) (throw "the image ${name} is not made for linux/${architecture}") top.manifests;
      manifestDigest = if top ? manifests then entry.digest else digest;
      file = object "manifests" manifestDigest;
      manifest = read file;
    in
    {
      digest = manifestDigest;
      size = builtins.stringLength (builtins.readFile file);
      mediaType = manifest.mediaType or "application/vnd.oci.image.manifest.v1+json";
      config = manifest.config.digest;
      layers = map (layer: layer.digest) manifest.layers;
    };

  manifest = if locked != null then locked else fromRegistry;

  index = writeText "index.json" (
    builtins.toJSON {
      schemaVersion = 2;
      manifests = [
        {
          inherit (manifest) mediaType digest size;
          annotations."org.opencontainers.image.ref.name" = reference;
        }
      ];
    }
  );

  files = [
    {
      inherit (manifest) digest;
      file = object "manifests" manifest.digest;
    }
  ]
  ++ map (digest: {
    inherit digest;
    file = object "blobs" digest;
  }) (lib.unique ([ manifest.config ] ++ manifest.layers));
in
# An OCI archive, as podman load and skopeo take it.
runCommand "${slug}-${tag}.tar"
  {
    passthru = {
      inherit reference;
      imageName = lib.removeSuffix ":${tag}" reference;
      imageTag = tag;
    };
  }
  ''
    mkdir -p image/blobs/sha256
    echo '{"imageLayoutVersion":"1.0.0"}' > image/oci-layout
    cp ${index} image/index.json
    ${lib.concatMapStrings (entry: "cp ${entry.file} image/blobs/sha256/${hex entry.digest}\n") files}
    tar --create --file $out --directory image --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner .
  ''
