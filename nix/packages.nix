# Our programs, built with crane: dependencies once, then one derivation for each program; and the checks of the code.
{
  lib,
  craneLib,
  source,
  cacert,
  cmake,
  pkg-config,
  rustc,
}:
let
  toml = lib.importTOML ../Cargo.toml;
  inherit (toml.workspace.package) version rust-version;
  inherit (source) binaries manifest;

  # librdkafka's CMake defines WITH_OAUTHBEARER_OIDC as 0, one file asks whether it is defined at all, and then wants
  # curl's headers. A librdkafka in which that is mended can't be patched, and this goes.
  cargoVendorDir = craneLib.vendorCargoDeps {
    src = source.manifests;
    overrideVendorCargoPackage =
      crate: package:
      if crate.name == "rdkafka-sys" then
        package.overrideAttrs {
          postPatch = ''
            substituteInPlace librdkafka/src/rdkafka_conf.c \
              --replace-fail '#ifdef WITH_OAUTHBEARER_OIDC' '#if WITH_OAUTHBEARER_OIDC'
          '';
        }
      else
        package;
  };

  common = {
    pname = "everhook";
    inherit version cargoVendorDir;
    strictDeps = true;
    # librdkafka is built by CMake; nothing else of ours is.
    nativeBuildInputs = [
      cmake
      pkg-config
    ];
    dontUseCmakeConfigure = true;
    env.SQLX_OFFLINE = "true";
    meta = {
      license = lib.licenses.mit;
      platforms = lib.platforms.linux;
    };
  };

  # Feature sets differ from program to program, so each is selected alone, here and where it is built: the
  # dependencies fit only then.
  selection =
    program:
    "--package ${program}"
    + lib.optionalString ((manifest program).features or { } ? cmake-build) " --features cmake-build";

  everything =
    "--locked --workspace --features "
    + lib.concatMapStringsSep "," (crate: "${crate}/cmake-build") (
      lib.filter (crate: (manifest crate).features or { } ? cmake-build) source.crates
    );

  programDependencies = craneLib.buildDepsOnly (
    common
    // {
      src = source.manifests;
      pname = "everhook-programs";
      buildPhaseCargoCommand = lib.concatMapStrings (program: ''
        cargoWithProfile build --locked ${selection program}
      '') binaries;
      doCheck = false;
    }
  );

  program =
    name:
    craneLib.buildPackage (
      common
      // {
        pname = name;
        src = source.of name;
        cargoArtifacts = programDependencies;
        # Not --locked: the other crates of the workspace are not there, and cargo drops them from its copy of the lock.
        cargoExtraArgs = selection name;
        doCheck = false;
        meta = common.meta // {
          inherit ((manifest name).package) description;
          mainProgram = name;
        };
      }
    );

  # The checks compile with little optimisation, as on a developer's machine.
  whole = common // {
    src = source.whole;
    CARGO_PROFILE = "dev";
    cargoExtraArgs = everything;
  };
  cargoArtifacts = craneLib.buildDepsOnly (whole // { pname = "everhook-checks"; });
  checked = whole // {
    inherit cargoArtifacts;
  };
in
assert lib.assertMsg (lib.versionAtLeast (lib.getVersion rustc) rust-version)
  "Everhook needs Rust ${rust-version} or newer, and this nixpkgs has ${lib.getVersion rustc}: take a newer nixpkgs";
{
  programs = lib.genAttrs binaries program;

  checks = {
    clippy = craneLib.cargoClippy (
      checked // { cargoClippyExtraArgs = "--all-targets -- --deny warnings"; }
    );
    doc = craneLib.cargoDoc (
      checked
      // {
        cargoDocExtraArgs = "--no-deps";
        env = checked.env // {
          RUSTDOCFLAGS = "--deny warnings";
        };
      }
    );
    fmt = craneLib.cargoFmt { inherit (whole) pname version src; };
    deny = craneLib.cargoDeny {
      inherit (whole)
        pname
        version
        src
        cargoVendorDir
        ;
    };
    # What needs no component; the rest is run beside PostgreSQL, Kafka and Restate by scripts/run-tests.sh.
    test = craneLib.cargoTest (
      checked
      // {
        cargoTestExtraArgs = "--lib --bins --test model --test house --test egress";
        # The door to the receivers does not open without a trust store.
        env = checked.env // {
          SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
        };
      }
    );
  };
}
