"""Model inference: the one place that imports LiteRT, and the only way a model gets loaded.

``load`` reads ``models/manifest.toml``, refuses a file whose SHA-256 differs, and returns a ``Model`` on the CPU.
``configure`` sets for the whole process how many threads that takes and what may run models in the CPU's place
(``accelerate.py``). Where LiteRT is not installed, its older package ``tflite-runtime`` does.
"""

from __future__ import annotations

import ctypes
import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from edge.errors import VidikError
from edge.vision.answers import Answers, Output, Tensor
from edge.vision.values import Floats

Fill = Callable[[Tensor], None]
"""Writes all of a model's input into the array that it is given, and keeps nothing of it."""


class ModelError(VidikError):
    """A model is missing, altered, or not of the form its manifest entry promises."""


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same network compiled for an accelerator."""

    file: str
    sha256: str


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model of the manifest. ``outputs`` names the output tensors in the order ``run`` returns them.

    ``variants`` holds the files for accelerators that need one of their own, by the accelerator's name.
    """

    name: str
    file: str
    sha256: str
    licence: str
    provenance: str
    card: str
    outputs: tuple[str, ...]
    variants: Mapping[str, Variant] = {}


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    model: list[Entry]


class Model(Protocol):
    """A loaded network with one input of fixed shape."""

    entry: Entry
    shape: tuple[int, ...]
    takes: np.dtype[Any]

    def run(self, values: Tensor | Fill) -> Sequence[Floats]:
        """Run once.

        ``values`` has ``shape`` and is either the model's own input dtype, or ``uint8`` pixels for a
        model with ``int8`` input (shifted by 128); or it writes them, of dtype ``takes`` (``uint8`` for ``int8``),
        where the model wants them, which saves a copy. Returns float32 arrays (dequantised), in the order
        of ``entry.outputs``; they, and the sequence itself, are only good until the next call. Raises
        ``ModelError`` on a wrong shape or dtype.
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


Accelerate = Callable[[Entry, Path, Model], Model]


@dataclass(slots=True)
class _Settings:
    threads: int = 1
    accelerate: Accelerate | None = None
    fault: Callable[[Model], str] | None = None


_settings = _Settings()


def configure(
    threads: int = 1, accelerate: Accelerate | None = None, fault: Callable[[Model], str] | None = None
) -> None:
    """Sets for all models loaded from now on: CPU threads; what takes a model (entry, folder, the model on the CPU)
    and returns one that runs elsewhere; and the self-test, which says what is wrong with a model, "" for nothing."""
    _settings.threads, _settings.accelerate, _settings.fault = threads, accelerate, fault


def load(name: str, threads: int | None = None, folder: Path | None = None) -> Model:
    """The model called ``name``, checked against the manifest and ready to run on ``threads`` CPU threads
    (1, unless ``configure`` says otherwise) or on what ``configure`` was given.

    Raises ``ModelError`` when the model is unknown, absent, or differs from the manifest by a single byte.
    """
    folder = models_dir() if folder is None else folder
    entry, content = _read(name, folder)
    model = InterpretedModel(entry, content, max(threads or 1, _settings.threads))
    wrong = _settings.fault(model) if _settings.fault else ""
    if wrong:
        raise ModelError(f"The self-test failed on the CPU: {wrong}. Reinstall the package, or replace the device.")
    return _settings.accelerate(entry, folder, model) if _settings.accelerate else model


def check(name: str, folder: Path | None = None) -> None:
    """For a model that may be needed later: raises ``ModelError`` when ``load`` would not find it as it should be."""
    _read(name, models_dir() if folder is None else folder)


def _read(name: str, folder: Path) -> tuple[Entry, bytes]:
    entry = manifest(folder).get(name)
    if entry is None:
        raise ModelError(f"No model called {name!r} is in {folder / 'manifest.toml'}. Reinstall the package.")
    return entry, verified(folder / entry.file, entry.sha256)


def verified(path: Path, sha256: str) -> bytes:
    """The content of the model file ``path``. Raises ``ModelError`` when it is not the one in the manifest."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read: {error.strerror}. Reinstall the package.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ModelError(
            f"The model file {path} is not the one in the manifest (SHA-256 {found[:16]}…, expected "
            f"{sha256[:16]}…), so it is not loaded. Restore the file or reinstall the package."
        )
    return content


@cache
def interpreters() -> Any:
    """LiteRT's interpreter module, or that of tflite-runtime. Raises ``ModelError`` when neither is installed."""
    with suppress(ModuleNotFoundError):
        from ai_edge_litert import interpreter  # noqa: PLC0415 - slow to import, needed only with a model

        return interpreter
    try:
        from tflite_runtime import interpreter as older  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ModelError(
            "Neither ai-edge-litert nor tflite-runtime is installed: pip install 'vidik[vision]'."
        ) from error
    return older


def delegate(library: str, options: Mapping[str, str] | None = None) -> Any:
    """The accelerator driver in the shared ``library``. Raises ``ModelError`` when it does not load."""
    try:
        ctypes.CDLL(library)  # first, for LiteRT's own loader stumbles over one that is not there
        return interpreters().load_delegate(library, dict(options or {}))
    except (OSError, ValueError, RuntimeError) as error:
        cause = str(error) or "it found no device, or has no access to it"
        raise ModelError(f"The accelerator's library {library} does not work: {cause}.") from error


class InterpretedModel:
    """A model in LiteRT's or TensorFlow Lite's interpreter, on the CPU (XNNPACK) or through a delegate."""

    def __init__(self, entry: Entry, content: bytes, threads: int, delegates: Sequence[Any] = ()) -> None:
        """Raises ``ModelError`` when ``content`` is no such model, or the delegate does not take it."""
        self.entry = entry
        self._content = content  # the interpreter reads from this buffer for as long as it lives
        try:
            self._interpreter = interpreters().Interpreter(
                model_content=content, num_threads=threads, experimental_delegates=list(delegates) or None
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"Model {entry.name} cannot be prepared: {error}. Reinstall the package.") from error
        (given,) = self._interpreter.get_input_details()
        self.shape = tuple(int(n) for n in given["shape"])
        self._dtype = np.dtype(given["dtype"])
        self.takes = np.dtype(np.uint8) if self._dtype == np.int8 else self._dtype
        self._input: Callable[[], Tensor] = self._interpreter.tensor(int(given["index"]))
        self._outputs = [self._output(name) for name in entry.outputs]

    def _output(self, name: str) -> Output:
        details: Sequence[dict[str, Any]] = self._interpreter.get_output_details()
        for detail in details:
            if detail["name"] == name:
                scale, zero = detail["quantization"]
                real = np.empty(tuple(int(n) for n in detail["shape"]), np.float32)
                seen = self._interpreter.tensor(int(detail["index"]))
                return Output(seen, np.float32(scale), np.float32(zero), real)
        have = ", ".join(str(d["name"]) for d in details)
        raise ModelError(f"Model {self.entry.name} has no output {name!r}, only {have}. Rebuild its manifest entry.")

    def run(self, values: Tensor | Fill) -> Sequence[Floats]:
        self._give(values)
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"Model {self.entry.name} failed while running: {error}.") from error
        return Answers(self._outputs)

    def _give(self, values: Tensor | Fill) -> None:
        """Nothing may look into the interpreter's memory while it runs: what does here ends with this call."""
        if callable(values):
            given = self._input().view(self.takes)
            values(given)
            if self._dtype == np.int8:
                np.bitwise_xor(given, 128, given)
            return
        shift = values.dtype == np.uint8 and self._dtype == np.int8
        if values.shape != self.shape or not (shift or values.dtype == self._dtype):
            raise ModelError(
                f"Model {self.entry.name} takes {self._dtype} {self.shape}, was given {values.dtype} {values.shape}."
            )
        given = self._input()
        if shift:
            np.bitwise_xor(values, 128, out=given.view(np.uint8))
        else:
            np.copyto(given, values)
