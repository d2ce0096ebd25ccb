"""Many modules of the page as one script, so that the first visit asks once for what it would ask sixty times.

Every module keeps a scope of its own, as a function that returns what it exports; those names are unique in the whole script and
seen by the modules that come after. The page's modules know two forms only, `import { a, b } from "./x.js";` and `export` before
a function, a const or a class; any other raises `ValueError`.
"""

import posixpath
import re
from collections.abc import Mapping

IMPORT = re.compile(r'^import \{([^}]*)\} from "([^"]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+))", re.MULTILINE)
OTHER = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)


def _target(module: str, written: str) -> str:
    """The name of a module that another one imports."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(module), written))


def modules_of(entry: str, sources: Mapping[str, str]) -> list[str]:
    """The entry and all it imports, a module after those that it needs. Raises `ValueError` for a circle."""
    order: list[str] = []

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"Modules import each other in a circle: {' → '.join((*above, name))}")
        if name not in order:
            for found in IMPORT.finditer(sources[name]):
                add(_target(name, found[2]), (*above, name))
            order.append(name)

    add(entry, ())
    return order


def bundled(names: list[str], sources: Mapping[str, str]) -> str:
    """One script of these modules, in this order; it exports what they export."""
    parts, exported = [], list[str]()
    for name in names:
        own = EXPORT.findall(sources[name])
        body = EXPORT.sub("", IMPORT.sub("", sources[name]))
        if other := OTHER.search(body):
            raise ValueError(f"{name}: a bundle cannot hold this: {other[0]}")
        if twice := {*own} & {*exported}:
            raise ValueError(f"{name}: another module exports this name too: {', '.join(sorted(twice))}")
        exported += own
        given = f"{{ {', '.join(own)} }}"
        parts.append(f"// {name}\nconst {given} = (() => {{\n{body}\nreturn {given};\n}})();\n")
    return "".join(parts) + f"export {{ {', '.join(exported)} }};\n"


def importing_bundle(name: str, source: str, bundle: str, inside: list[str]) -> str:
    """A module that is served by itself, which takes from the bundle what is inside it."""
    address = posixpath.relpath(bundle, posixpath.dirname(name))

    def rewritten(found: re.Match[str]) -> str:
        taken = _target(name, found[2]) in inside
        return f'import {{{found[1]}}} from "{address}";' if taken else found[0]

    return IMPORT.sub(rewritten, source)
