"""Imports run one way, and each library is known in one place only."""

import ast
import subprocess
import sys

import pytest

from tests.helpers import imports, paths

ROOT = paths.ROOT
PACKAGES = {"models", "index", "indexer", "service"}
MAY_IMPORT = {
    "models": set(),
    "index": set(),
    "indexer": {"models", "index"},
    "service": {"models", "index"},
}
# Root modules and sub-packages, lowest layer first: each may import only those before it.
LAYERS = {
    "models": (
        "errors files schema1 runtime image_files network preprocess encoder decoder autoencoder "
        "learning training export external"
    ),
    "index": (
        "errors arrays progress text durable layout schema1 catalogue artefacts search "
        "build_settings manifest snapshot verification"
    ),
    "indexer": (
        "errors stages output folder collection quality groups map options encoding "
        "publishing pipeline search cli __main__"
    ),
    "service": (
        "errors settings process schemas route_table guard images duplicate_cache snapshots "
        "context search api web app"
    ),
}
KNOWN_ONLY_IN = {
    "tensorflow": {"models/"},
    "keras": {"models/"},
    "faiss": {"index/search/faiss_store.py"},
    "flask": {"service/"},
    "click": {"indexer/"},
    "PIL": {"models/", "indexer/", "service/"},
}


def imports_of(path):
    """Return the top-level names that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def files():
    """Return every source file of the four packages, relative to the root."""
    return [p.relative_to(ROOT) for name in sorted(PACKAGES) for p in (ROOT / name).rglob("*.py")]


@pytest.mark.parametrize("path", files(), ids=str)
def test_packages_import_one_way_only(path):
    """Models and index know nobody; indexer and service know these two and not each other."""
    own = path.parts[0]

    foreign = (imports_of(ROOT / path) & PACKAGES) - {own}

    assert foreign <= MAY_IMPORT[own]


@pytest.mark.parametrize("module", sorted(imports.modules() - {"service.gunicorn.conf"}))
def test_layers_import_downwards_only(module):
    """A sub-package never imports one above it, so that no two of them import each other."""
    package, _, rest = module.partition(".")
    if rest:  # a package itself only loads what it exports
        layers = LAYERS[package].split()
        own = layers.index(imports.layer(module, layers))

        for other in imports.imported_by(module):
            if other.startswith(f"{package}."):
                assert layers.index(imports.layer(other, layers)) <= own, f"imports {other}"


@pytest.mark.parametrize("path", files(), ids=str)
def test_each_library_is_known_in_one_place(path):
    """Replacing FAISS, Flask or TensorFlow touches the files that may import it, and no other."""
    for library in imports_of(ROOT / path) & set(KNOWN_ONLY_IN):
        allowed = KNOWN_ONLY_IN[library]
        assert any(str(path).startswith(place) for place in allowed), f"{path} imports {library}"


SERVING = (
    "preprocess", "encoder", "decoder", "runtime/litert", "errors", "__init__",
    "image_files/av1", "image_files/colours", "image_files/decoder_limits", "image_files/formats",
)  # fmt: skip


@pytest.mark.parametrize("name", SERVING)
def test_the_serving_part_of_models_knows_no_training_library(name):
    """What a query goes through needs LiteRT and Pillow, and nothing that trains."""
    assert not imports_of(ROOT / "models" / f"{name}.py") & {"tensorflow", "keras"}


@pytest.mark.parametrize("package", ["service", "index", "models.encoder", "indexer.cli"])
def test_importing_it_never_imports_tensorflow(package):
    """Serving, searching and the command line start without TensorFlow's seconds and memory."""
    script = (
        f"import sys, {package}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


WITHOUT_FLASK = sorted(
    name for name in imports.modules() if name.split(".")[0] in {"index", "models"}
)


@pytest.mark.parametrize("module", [*WITHOUT_FLASK, "service.search"])
def test_storing_encoding_and_searching_reach_no_flask(module):
    """Not through any chain of imports either; the message shows the chain."""
    assert imports.chain(module, "flask") is None


PLAIN_VALUES = sorted(
    name for name in imports.modules() if name.startswith(("index.search.", "index.artefacts."))
)


@pytest.mark.parametrize("module", PLAIN_VALUES)
def test_searching_and_artefacts_know_no_snapshot(module):
    """They take stores, tables and values; the snapshot puts them together."""
    assert imports.chain(module, "index.snapshot") is None
    assert imports.chain(module, "index.manifest") is None


def test_a_chain_of_imports_is_found():
    """The views of the API use Flask, and those of the pages reach the store of vectors."""
    assert imports.chain("service.api.routes", "flask") == ["service.api.routes", "flask"]
    chain = imports.chain("service.web.pages.home", "index.search.store")
    assert (chain[0], chain[-1]) == ("service.web.pages.home", "index.search.store")


def test_what_a_function_imports_is_no_part_of_a_chain():
    """Gunicorn's parent imports the package without the application that it makes."""
    assert imports.chain("service", "flask") is None
