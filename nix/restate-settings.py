"""Fails if a setting of the first file is not in the second: what was written, and what Restate says it has understood."""

import sys
import tomllib


def leaves(table, path=()):
    for name, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name)


def has(table, path):
    for name in path:
        if not isinstance(table, dict) or name not in table:
            return False
        table = table[name]
    return True


written, understood = (tomllib.load(open(name, "rb")) for name in sys.argv[1:3])
unknown = [".".join(path) for path in leaves(written) if not has(understood, path)]
if unknown:
    sys.exit(f"services.everhook.restate.settings: Restate does not know {', '.join(unknown)}")
