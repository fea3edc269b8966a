"""Model inference: the one place that imports LiteRT, and the only way a model gets loaded.

``load`` reads ``models/manifest.toml``, refuses a file whose SHA-256 differs, and returns a ``Model``.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import VidikError
from edge.vision.values import Floats

Tensor = NDArray[Any]


class ModelError(VidikError):
    """A model is missing, altered, or not of the form its manifest entry promises."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the manifest. ``outputs`` names the output tensors in the order ``run`` returns them."""

    name: str
    file: str
    sha256: str
    licence: str
    provenance: str
    card: str
    outputs: tuple[str, ...]


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    model: list[Entry]


class Model(Protocol):
    """A loaded network with one input of fixed shape."""

    entry: Entry
    shape: tuple[int, ...]

    def run(self, values: Tensor) -> list[Floats]:
        """Run once.

        ``values`` has ``shape`` and is either the model's own input dtype, or ``uint8`` pixels for a
        model with ``int8`` input (shifted by 128). Returns float32 arrays (dequantised), in the order
        of ``entry.outputs``. The arrays are overwritten by the next call. Raises ``ModelError`` on a
        wrong shape or dtype.
        """
        ...


def models_dir() -> Path:
    """The folder with the manifest and the model files, as installed."""
    return Path(str(resources.files("models")))


@cache
def manifest(folder: Path) -> dict[str, Entry]:
    """The models of ``folder`` by name. Raises ``ModelError`` when the manifest cannot be read."""
    path = folder / "manifest.toml"
    try:
        parsed = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Manifest)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ModelError(f"The model manifest {path} cannot be read: {error}. Reinstall the package.") from error
    return {entry.name: entry for entry in parsed.model}


def load(name: str, threads: int = 1, folder: Path | None = None) -> Model:
    """The model called ``name``, checked against the manifest and ready to run on ``threads`` CPU threads.

    Raises ``ModelError`` when the model is unknown, absent, or differs from the manifest by a single byte.
    """
    folder = models_dir() if folder is None else folder
    entry = manifest(folder).get(name)
    if entry is None:
        raise ModelError(f"No model called {name!r} is in {folder / 'manifest.toml'}. Reinstall the package.")
    path = folder / entry.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}. Reinstall the package.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise ModelError(
            f"The model file {path} is not the one in the manifest (SHA-256 {found[:16]}…, expected "
            f"{entry.sha256[:16]}…), so it is not loaded. Restore the file or reinstall the package."
        )
    return _LiteRtModel(entry, content, threads)


@dataclass(frozen=True, slots=True)
class _Output:
    index: int
    scale: float
    zero: int


class _LiteRtModel:
    def __init__(self, entry: Entry, content: bytes, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - slow to import, needed only here

        self.entry = entry
        self._content = content  # the interpreter reads from this buffer for as long as it lives
        self._interpreter = Interpreter(model_content=content, num_threads=threads)
        self._interpreter.allocate_tensors()
        (given,) = self._interpreter.get_input_details()
        self.shape = tuple(int(n) for n in given["shape"])
        self._dtype = np.dtype(given["dtype"])
        self._input = int(given["index"])
        self._outputs = [self._output(name) for name in entry.outputs]

    def _output(self, name: str) -> _Output:
        details: Sequence[dict[str, Any]] = self._interpreter.get_output_details()
        for detail in details:
            if detail["name"] == name:
                scale, zero = detail["quantization"]
                return _Output(int(detail["index"]), float(scale), int(zero))
        have = ", ".join(str(d["name"]) for d in details)
        raise ModelError(f"Model {self.entry.name} has no output {name!r}, only {have}. Rebuild its manifest entry.")

    def run(self, values: Tensor) -> list[Floats]:
        if values.dtype == np.uint8 and self._dtype == np.int8:
            values = (values ^ np.uint8(128)).view(np.int8)
        if values.shape != self.shape or values.dtype != self._dtype:
            raise ModelError(
                f"Model {self.entry.name} takes {self._dtype} {self.shape}, was given {values.dtype} {values.shape}."
            )
        self._interpreter.set_tensor(self._input, values)
        self._interpreter.invoke()
        return [self._real(output) for output in self._outputs]

    def _real(self, output: _Output) -> Floats:
        raw = self._interpreter.get_tensor(output.index)
        if output.scale == 0:
            return np.asarray(raw, np.float32)
        real: Floats = (raw.astype(np.float32) - np.float32(output.zero)) * np.float32(output.scale)
        return real
