"""Checked tflite files, run in batches, with one interpreter per run."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models.errors import ModelMismatch
from models.runtime.quiet import quiet_stderr

# Pictures per run. Each thread's interpreter keeps its working memory (4.2 MB per picture for the
# classic encoder), and larger batches are not faster.
BATCH_SIZE = 8


class LiteModel:
    """A tflite model with one input and one output, rows first.

    Safe in threads: each run borrows an interpreter that no other run uses. There are as many
    interpreters as ever ran at the same time, and each keeps its working memory. A model whose
    number of rows is fixed to 1 runs row by row.

    Parameters
    ----------
    content : bytes
        The file. It stays in memory, so the file may be replaced or deleted.
    n_threads : int
        Threads that one run uses.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
        Of one row.
    input_dtype : dtype
        Of the rows that `run` expects.

    Raises
    ------
    ModelMismatch
        If this is not a tflite model, or not with such an input and output.
    """

    def __init__(self, content: bytes, n_threads: int = 1) -> None:
        self._content = content
        self._n_threads = n_threads
        self._idle: list[_Ready] = []
        with self._borrowed() as ready:
            details = _only(ready.interpreter.get_input_details(), "input")
        signature = [int(side) for side in details["shape_signature"]]
        if not signature or signature[0] not in (-1, 1):
            raise ModelMismatch(
                f"the model expects an input of shape {signature}: convert it again with 1 row or "
                "any number of rows (-1)"
            )
        self._is_single = signature[0] == 1
        self.input_shape = tuple(int(side) for side in details["shape"][1:])
        self.input_dtype = np.dtype(details["dtype"])
        if self.input_dtype not in (np.float32, np.uint8):
            raise ModelMismatch(
                f"the model expects {self.input_dtype}: convert it again with inference_input_type "
                "float32 or uint8"
            )
        # The output shape of some models is only known once they have run.
        self.output_shape = self._run(np.zeros((1, *self.input_shape), self.input_dtype)).shape[1:]

    def run(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Return the output for n rows of `input_dtype`, 1 <= n <= BATCH_SIZE."""
        if not self._is_single:
            return self._run(rows)
        return np.concatenate([self._run(rows[i : i + 1]) for i in range(len(rows))])

    def _run(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        with self._borrowed() as ready:
            interpreter = ready.interpreter
            index = interpreter.get_input_details()[0]["index"]
            if ready.n_rows != len(rows):
                interpreter.resize_tensor_input(index, [len(rows), *self.input_shape])
                interpreter.allocate_tensors()
                ready.n_rows = len(rows)
            interpreter.set_tensor(index, rows)
            interpreter.invoke()
            output = _only(interpreter.get_output_details(), "output")
            return _as_real(interpreter.get_tensor(output["index"]), output)

    @contextmanager
    def _borrowed(self) -> Iterator["_Ready"]:
        """Lend an interpreter that no other run uses until the end of the block."""
        try:
            ready = self._idle.pop()  # the one used last: its memory is still in the CPU caches
        except IndexError:
            ready = _Ready(_interpreter(self._content, self._n_threads))
        try:
            yield ready
        finally:
            self._idle.append(ready)


@dataclass
class _Ready:
    """An interpreter, and the number of rows that it is set to."""

    interpreter: Interpreter
    n_rows: int | None = None


def batches(n_rows: int) -> Iterator[slice]:
    """Cut n rows into slices of at most BATCH_SIZE."""
    for start in range(0, n_rows, BATCH_SIZE):
        yield slice(start, min(start + BATCH_SIZE, n_rows))


def read_model(path: Path, sha256: str) -> bytes:
    """Return the content of a model file after checking its SHA-256.

    Raises
    ------
    ModelMismatch
        If the file is missing or has another checksum.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelMismatch(f"{path} is missing: train and export again") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelMismatch(
            f"{path} has SHA-256 {found[:16]}..., but the .json beside it expects "
            f"{sha256[:16]}...: copy both files from the same export"
        )
    return content


def read_fields(
    path: Path,
    names: set[str],
    schema_version: int,
    optional: frozenset[str] = frozenset(),
    upgrade: Callable[[Any], Any] = lambda fields: fields,
) -> dict[str, Any]:
    """Return the fields of a model's .json, which must be these; `optional` ones may be missing.

    `upgrade` brings the fields of an older schema to this one.

    Raises
    ------
    ModelMismatch
        If the file is missing, not a JSON object, of another schema, or has other fields.
    """
    try:
        fields = upgrade(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ModelMismatch(f"{path} is missing: copy it from the export") from error
    except ValueError as error:
        raise ModelMismatch(f"{path} is not JSON ({error}): copy it from the export") from error
    found = fields.get("schema_version") if isinstance(fields, dict) else None
    if found != schema_version:
        raise ModelMismatch(
            f"{path} has schema version {found}, this version reads {schema_version}: export again"
        )
    odd = (set(fields) ^ names) - (optional - set(fields))
    if odd:
        raise ModelMismatch(f"{path} has missing or unknown fields {sorted(odd)}: export again")
    return dict(fields)


def write_fields(path: Path, fields: dict[str, Any]) -> None:
    """Write a model's .json file, sorted and indented."""
    path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _only(details: list[dict[str, Any]], what: str) -> dict[str, Any]:
    if len(details) != 1:
        raise ModelMismatch(f"the model has {len(details)} {what}s: keep only one")
    return details[0]


def _as_real(output: NDArray[Any], details: dict[str, Any]) -> NDArray[np.float32]:
    """Return an output as float32; a quantized byte means scale * (byte - zero point)."""
    if output.dtype == np.float32:
        return output
    scale, zero_point = details["quantization"]
    if output.dtype not in (np.uint8, np.int8) or not scale:
        raise ModelMismatch(
            f"the model returns {output.dtype}: convert it again with an output of float32 or "
            "quantized bytes"
        )
    return (output.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def _interpreter(content: bytes, n_threads: int) -> Interpreter:
    try:
        with quiet_stderr():
            interpreter = Interpreter(model_content=content, num_threads=n_threads)
            interpreter.allocate_tensors()
        return interpreter
    except (ValueError, RuntimeError) as error:
        raise ModelMismatch(f"the file is not a tflite model ({error}): export it again") from error
