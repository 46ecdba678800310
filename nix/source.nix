# Which crates there are, and which files of the repository each of them needs. The directory is the list.
{ lib }:
let
  inherit (lib) fileset;
  root = ../.;
  directory = crate: root + "/crates/${crate}";
  manifest = crate: lib.importTOML (directory crate + "/Cargo.toml");

  crates = lib.attrNames (
    lib.filterAttrs (_: type: type == "directory") (builtins.readDir (root + "/crates"))
  );

  # A crate with those of ours that it is built from, itself included.
  closure =
    crate:
    map (node: node.key) (
      lib.genericClosure {
        startSet = [ { key = crate; } ];
        operator =
          node:
          map (key: { inherit key; }) (
            lib.intersectLists crates (lib.attrNames ((manifest node.key).dependencies or { }))
          );
      }
    );

  # What a crate reads beside its own folder when it is compiled.
  beside = {
    store = [
      (root + "/migrations")
      (root + "/.sqlx")
    ];
  };

  # Everything in a crate's folder but its tests: templates and pinned files belong to it.
  built =
    crate:
    [
      (fileset.difference (directory crate) (fileset.maybeMissing (directory crate + "/tests")))
    ]
    ++ beside.${crate} or [ ];

  workspace = [
    (root + "/Cargo.toml")
    (root + "/Cargo.lock")
  ];

  toSource =
    parts:
    fileset.toSource {
      inherit root;
      fileset = fileset.unions parts;
    };
in
{
  inherit crates manifest;

  # The crates that are a program.
  binaries = lib.filter (crate: builtins.pathExists (directory crate + "/src/main.rs")) crates;

  # What one program is compiled from, and nothing else: a change elsewhere does not build it anew.
  of = crate: toSource (workspace ++ lib.concatMap built (closure crate));

  # What the dependencies are compiled for: manifests alone matter, so all of them.
  manifests = toSource (workspace ++ map directory crates);

  # What the checks of the whole workspace read. A test checks that the places named by the architecture's map exist.
  whole = toSource (
    workspace
    ++ lib.concatLists (lib.attrValues beside)
    ++ map (name: root + "/${name}") [
      "checks"
      "clippy.toml"
      "crates"
      "deny.toml"
      "docs"
      "flake.nix"
      "nix"
      "rustfmt.toml"
      "scripts"
    ]
  );

  # The migrations as they lie in the repository, for the check that a build holds them all.
  migrations = root + "/migrations";
}
