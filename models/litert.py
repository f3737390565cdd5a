"""What encoder and decoder share: a checked file, run in batches, one interpreter a thread."""

import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models.errors import ModelMismatch
from models.quiet import quiet_stderr

# Pictures a run. The interpreter keeps its working memory (4.2 MB a picture for the classic
# encoder) once for each thread, and larger batches are not faster.
BATCH_SIZE = 8


class LiteModel:
    """A tflite model with one input and one output, both with a free number of rows.

    Safe in threads: each thread gets an interpreter of its own, when it first needs one.

    Parameters
    ----------
    content : bytes
        The file. Held in memory, so the file may be replaced or deleted meanwhile.
    n_threads : int
        Threads that one run uses.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
        Of one row.
    """

    def __init__(self, content: bytes, n_threads: int = 1) -> None:
        self._content = content
        self._n_threads = n_threads
        self._local = threading.local()
        details = self._interpreter().get_input_details()
        self.input_shape = tuple(int(side) for side in details[0]["shape"][1:])
        # Of some models a shape is only known once they have run.
        self.output_shape = self.run(np.zeros((1, *self.input_shape), np.float32)).shape[1:]

    def run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the model's output for float32 rows (1 <= n <= BATCH_SIZE)."""
        interpreter = self._interpreter()
        index = interpreter.get_input_details()[0]["index"]
        if self._local.n_rows != len(rows):
            interpreter.resize_tensor_input(index, [len(rows), *self.input_shape])
            interpreter.allocate_tensors()
            self._local.n_rows = len(rows)
        interpreter.set_tensor(index, rows)
        interpreter.invoke()
        output: NDArray[np.float32] = interpreter.get_tensor(
            interpreter.get_output_details()[0]["index"]
        )
        return output

    def _interpreter(self) -> Interpreter:
        if not hasattr(self._local, "interpreter"):
            self._local.interpreter = _interpreter(self._content, self._n_threads)
            self._local.n_rows = None
        return self._local.interpreter


def batches(n_rows: int) -> Iterator[slice]:
    """Cut n rows into slices of at most BATCH_SIZE."""
    for start in range(0, n_rows, BATCH_SIZE):
        yield slice(start, min(start + BATCH_SIZE, n_rows))


def read_model(path: Path, sha256: str) -> bytes:
    """Return the bytes of a model file that has the expected checksum.

    Raises
    ------
    ModelMismatch
        If the file is missing or is another.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelMismatch(f"{path} is missing; train and export again") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelMismatch(
            f"{path} has SHA-256 {found[:16]}..., the .json beside it expects {sha256[:16]}...; "
            "copy both files from the same export"
        )
    return content


def read_fields(path: Path, names: set[str], schema_version: int) -> dict[str, Any]:
    """Return what a model's .json says, if it says just that.

    Raises
    ------
    ModelMismatch
        If the file is missing, no JSON object, of another schema, or has other fields.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelMismatch(f"{path} is missing; copy it from the export") from error
    except ValueError as error:
        raise ModelMismatch(f"{path} is not JSON ({error}); copy it from the export") from error
    found = fields.get("schema_version") if isinstance(fields, dict) else None
    if found != schema_version:
        raise ModelMismatch(
            f"{path} has schema version {found}, this program reads {schema_version}; export again"
        )
    if set(fields) != names:
        raise ModelMismatch(f"{path} lacks or adds {sorted(set(fields) ^ names)}; export again")
    return dict(fields)


def write_fields(path: Path, fields: dict[str, Any]) -> None:
    """Write a model's .json, sorted and indented."""
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _interpreter(content: bytes, n_threads: int) -> Interpreter:
    try:
        with quiet_stderr():
            interpreter = Interpreter(model_content=content, num_threads=n_threads)
            interpreter.allocate_tensors()
        return interpreter
    except (ValueError, RuntimeError) as error:
        raise ModelMismatch(f"the model file is no tflite model ({error}); export again") from error
