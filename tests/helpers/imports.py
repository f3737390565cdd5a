"""The import graph of the project, read from its source files."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from tests.helpers.paths import ROOT

PACKAGES = ("models", "index", "indexer", "service")


@functools.cache
def modules() -> frozenset[str]:
    """Return the dotted names of all modules of the four packages."""
    files = [path.relative_to(ROOT) for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    return frozenset(
        ".".join((file.parent if file.name == "__init__.py" else file.with_suffix("")).parts)
        for file in files
    )


def chain(start: str, target: str) -> list[str] | None:
    """Return the shortest chain of imports from one of our modules to a library or a module.

    Followed are the imports that run when a module is imported. Those in functions and under
    TYPE_CHECKING are not among them. None if there is no chain.
    """
    reached_from: dict[str, str] = {}
    waiting = [start]
    for module in waiting:  # grows meanwhile
        for name in _loaded_by(module):
            if name not in reached_from and name != start:
                reached_from[name] = module
                waiting.append(name)
    if target not in reached_from:
        return None
    found = [target]
    while found[-1] != start:
        found.append(reached_from[found[-1]])
    return found[::-1]


def imported_by(module: str) -> set[str]:
    """Return our modules that a module imports anywhere, in its functions as well."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            attributes = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= attributes & modules() or {node.module}
    return names & modules() - {module}


def layer(module: str, layers: list[str]) -> str:
    """Return the root module or sub-package that a module belongs to; KeyError if not listed."""
    _, _, rest = module.partition(".")
    found = [one for one in layers if rest == one or rest.startswith(f"{one}.")]
    if not found:
        raise KeyError(f"{module} is in no layer: add it to LAYERS in tests/unit/test_imports.py")
    return found[0]


@functools.cache
def _loaded_by(module: str) -> frozenset[str]:
    """Return our modules, and the top-level names of libraries, that a module loads itself."""
    if module not in modules():
        return frozenset()
    names = {*_with_parents(module)} - {module}
    for node in _run_at_import(ast.parse(_source(module)).body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names.update(_with_parents(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(_with_parents(node.module))
            names.update({f"{node.module}.{alias.name}" for alias in node.names} & modules())
    return frozenset(name for name in names if name in modules() or "." not in name)


def _source(module: str) -> str:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8")


def _run_at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is imported, also those in if, try and class."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _run_at_import(node.orelse)
            continue
        yield node
        for name in ("body", "orelse", "finalbody"):
            yield from _run_at_import(getattr(node, name, []))
        for handler in getattr(node, "handlers", []):
            yield from _run_at_import(handler.body)


def _with_parents(module: str) -> Iterator[str]:
    """Yield a module's name and those of the packages that are imported with it."""
    parts = module.split(".")
    return (".".join(parts[:n]) for n in range(1, len(parts) + 1))
