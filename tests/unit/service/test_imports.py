from __future__ import annotations

import subprocess
import sys

import pytest


def modules_after(statement):
    """Return the top-level modules that a fresh interpreter has loaded after a statement."""
    code = (
        f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_service_never_loads_tensorflow_or_the_indexer(tmp_path):
    """Everything that serves runs where TensorFlow is not installed."""
    app = (
        f"from service.settings import Settings; create_app(Settings(data=Path({str(tmp_path)!r})))"
    )
    loaded = modules_after(f"from pathlib import Path; from service import create_app; {app}")
    assert {"flask", "faiss", "ai_edge_litert"} <= loaded
    assert not loaded & {"tensorflow", "keras", "indexer", "matplotlib", "sklearn"}


@pytest.mark.parametrize("statement", ["import service", "import service.settings"])
def test_what_gunicorns_parent_imports_is_light(statement):
    """The parent forks before anything that starts threads has been loaded."""
    assert not modules_after(statement) & {"numpy", "faiss", "flask", "ai_edge_litert", "PIL"}


def test_counting_needs_neither_flask_nor_a_snapshot():
    """What a use case imports to time its stages knows no page and no snapshot holder."""
    loaded = modules_after("import service.process.counters")
    assert "prometheus_client" in loaded
    assert not loaded & {"flask", "faiss", "numpy", "PIL"}
