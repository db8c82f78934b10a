"""Who may import whom (docs/architecture.md, section 1), read from the imports of .py and cimports of .pyx and .pxd."""
from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("shardkv", "workers")
CYTHON_IMPORT = re.compile(r"^(?:from\s+(\.*[\w.]*)\s+c?import\s+\(?([\w, *]+)|c?import\s+([\w.]+))", re.MULTILINE)
TESTING = re.compile(r"\._testing\w*$")  # give C-only functions to the tests; no one imports them

# From the ground up: a module may import its own layer and those below. A name stands for what is in it, too.
GROUND = (
    "shardkv.atomic", "shardkv.files", "shardkv.ring", "shardkv.transaction", "shardkv.segment", "shardkv.stats",
    "shardkv.sleep", "shardkv.polling",
    "shardkv.hashing", "shardkv.identity", "shardkv.resp", "shardkv.number", "shardkv.errors", "shardkv.commands",
    "shardkv.glob", "shardkv.log", "shardkv.descriptors", "shardkv.claims", "shardkv.transaction",
)
MIDDLE = ("shardkv.config", "shardkv.layout", "shardkv.control")
ALLOWED = {
    **dict.fromkeys(GROUND, GROUND),
    **dict.fromkeys(MIDDLE, GROUND),
    "shardkv.acceptor": GROUND + MIDDLE,
    "shardkv.supervisor": GROUND + MIDDLE,
    "shardkv": (),  # cli and __main__
    "workers": GROUND + ("shardkv.layout", "shardkv.control"),
}


def modules() -> dict[str, list[Path]]:
    """Files by module name; a .pyx, its .pxd and its .pyi are one module."""
    found: dict[str, list[Path]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in (".py", ".pyx", ".pxd", ".pyi"):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
                found.setdefault(name, []).append(path)
    return found


def imports(path: Path, module: str, typing: bool) -> set[str]:
    """Names of modules that a file imports when it runs, and with `typing` those that only type checkers see."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    text = path.read_text()
    if path.suffix in (".pyx", ".pxd"):
        return cython_imports(text, package)
    return python_imports(text, package, typing) if typing or path.suffix == ".py" else set()


def python_imports(text: str, package: str, typing: bool) -> set[str]:
    found: set[str] = set()
    queue: list[ast.AST] = [ast.parse(text)]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test) and not typing:
            queue += node.orelse
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = absolute("." * node.level + (node.module or ""), package)
            found |= {f"{base}.{alias.name}" for alias in node.names} | {base}
        else:
            queue += ast.iter_child_nodes(node)
    return found


def cython_imports(text: str, package: str) -> set[str]:
    found: set[str] = set()
    for base, names, plain in CYTHON_IMPORT.findall(text):
        if plain:
            found.add(plain)
        else:
            origin = absolute(base, package)
            found |= {f"{origin}.{name.split()[0]}" for name in names.split(",") if name.strip()} | {origin}
    return found


def absolute(name: str, package: str) -> str:
    """`name` without its leading dots, seen from `package`."""
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    parents = package.split(".")[: len(package.split(".")) - level + 1]
    return ".".join([*parents, *filter(None, [name.lstrip(".")])])


@cache
def graph(typing: bool = False) -> dict[str, set[str]]:
    """Our modules, and which of our modules each one imports, or with `typing` names at all."""
    known = modules()
    return {
        module: {
            name for path in paths for name in imports(path, module, typing) if name in known
        } - {module, *PACKAGES}
        for module, paths in known.items()
    }


def inside(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_its_own_layer_and_those_below(module: str) -> None:
    layer = max((name for name in ALLOWED if inside(module, (name,))), key=len)
    wrong = sorted(name for name in graph()[module] if not inside(name, (layer, *ALLOWED[layer])))
    assert not wrong, f"{module} may not import {', '.join(wrong)}"


@pytest.mark.parametrize("typing", [False, True], ids=["when they run", "for type checkers too"])
def test_no_circles(typing: bool) -> None:
    """A module that names another, if only in an annotation, cannot be understood without it: that goes one way."""
    try:
        tuple(TopologicalSorter(graph(typing)).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_no_one_imports_what_is_made_for_tests() -> None:
    wrong = {f"{module} imports {name}" for module, names in graph().items() for name in names if TESTING.search(name)}
    assert not wrong


@pytest.mark.parametrize(
    ("name", "package", "result"),
    [("a.b", "x", "a.b"), (".", "x.y", "x.y"), (".z", "x.y", "x.y.z"), ("..z", "x.y", "x.z"), ("..", "x.y", "x")],
)
def test_relative_names(name: str, package: str, result: str) -> None:
    assert absolute(name, package) == result


def test_cython_imports_are_seen() -> None:
    text = "from ..ring cimport Ring, peek as look\ncimport shardkv.atomic as atomic\nfrom libc.string cimport memcpy\n"
    found = cython_imports(text, "workers.memory")
    assert found >= {"workers.ring", "workers.ring.peek", "shardkv.atomic", "libc.string"}
