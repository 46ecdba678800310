# The reference of the modules' options, in Markdown, from their own descriptions.
{
  nixosOptionsDoc,
  runCommand,
  module,
  nixosSystem,
}:
let
  system = nixosSystem { modules = [ module ]; };
  document = nixosOptionsDoc {
    options = { inherit (system.options.services) everhook; };
    # Where an option is declared is a path of the store, which tells nobody anything.
    transformOptions = option: option // { declarations = [ ]; };
  };
in
runCommand "everhook-options" { } ''
  mkdir $out
  cp ${document.optionsCommonMark} $out/options.md
''
