# Everhook's NixOS modules. The directory is the list: every other file here is a module.
self: {
  _class = "nixos";
  imports =
    let
      inherit (self.inputs.nixpkgs) lib;
      isModule = name: type: type == "regular" && lib.hasSuffix ".nix" name && name != "default.nix";
      names = lib.attrNames (lib.filterAttrs isModule (builtins.readDir ./.));
    in
    map (name: lib.modules.importApply (./. + "/${name}") { inherit self; }) names;
}
