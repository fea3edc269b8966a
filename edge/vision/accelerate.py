"""Accelerators: models run on them where they work, and on the CPU wherever they do not.

An accelerator is a guest: it may be absent, answer wrongly, fail or hang (USB sticks do). So a model is opened on it in
a thread of its own, must give the golden output before it serves, and has a deadline for every answer. Meanwhile, and
after any failure, the CPU runs the model; the accelerator is tried again later, after longer and longer rests.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from edge import config
from edge.vision import runtime, selftest
from edge.vision.answers import Tensor
from edge.vision.runtime import Entry, Fill, Model, ModelError
from edge.vision.values import Floats

_DEADLINE = 1.0  # seconds for one answer: fifty times what the largest model takes
_OPENING = 20.0  # seconds for opening: the first transfer to a stick takes a few
_FIRST_REST, _LONGEST_REST = 10.0, 600.0  # seconds before it is tried again
_LIBRARIES = {"edge-tpu": "libedgetpu.so.1", "gpu": "libtensorflowlite_gpu_delegate.so"}

_log = logging.getLogger(__name__)

Open = Callable[[], Model]


class _Worker:
    """A thread that does one thing at a time for somebody who does not wait for ever."""

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()
        threading.Thread(target=self._run, name="accelerator", daemon=True).start()

    def start(self, task: Callable[[], Any]) -> None:
        self._tasks.put(task)

    def result(self, timeout: float) -> Any:
        """Of the task started last. Raises what it raised, or ``queue.Empty`` when it takes longer."""
        value, error = self._results.get(timeout=timeout) if timeout > 0 else self._results.get_nowait()
        if error is not None:
            raise error
        return value

    def end(self) -> None:
        """Ends the thread once it has done what it is doing, if ever."""
        self._tasks.put(_end)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not _end:
            try:
                self._results.put((task(), None))
            except Exception as error:  # a driver throws anything, and it is for the caller to judge
                self._results.put((None, error))


def _end() -> None:
    """What ends a worker."""


class Accelerated:
    """A model on an accelerator called ``where``, and on the ``cpu`` whenever that fails. Not for several threads.

    ``open_`` opens it there and raises ``ModelError``; ``golden`` says what is wrong with a model, "" for nothing.
    """

    def __init__(
        self, where: str, cpu: Model, open_: Open, golden: Callable[[Model], str] = selftest.fault, *,
        clock: Callable[[], float] = time.monotonic, deadline: float = _DEADLINE, opening: float = _OPENING,
    ) -> None:  # fmt: skip
        self.entry, self.shape, self.takes = cpu.entry, cpu.shape, cpu.takes
        self.cause = "being opened"
        self.failures = 0
        self._where, self._cpu, self._open, self._golden = where, cpu, open_, golden
        self._clock, self._deadline, self._opening = clock, deadline, opening
        self._there: Model | None = None
        self._rest = _FIRST_REST
        self._worker = _Worker()
        self._try()

    @property
    def where(self) -> str:
        """What runs the model now."""
        return "cpu" if self._there is None else self._where

    def run(self, values: Tensor | Fill) -> Sequence[Floats]:
        if self._there is None:
            self._look()
        there = self._there
        if there is None:
            return self._cpu.run(values)
        if callable(values):
            given: Tensor = np.empty(self.shape, self.takes)
            values(given)
        else:
            given = values.copy()  # the caller may write into his own while a hung call still reads
        self._worker.start(lambda: [part.copy() for part in there.run(given)])
        try:
            found: list[Floats] = self._worker.result(self._deadline)
        except Empty:
            self._fail(f"no answer within {self._deadline:.0f} s")
        except Exception as error:
            self._fail(str(error) or type(error).__name__)
        else:
            return found
        return self._cpu.run(values)

    def _try(self) -> None:
        def prepare() -> Model:
            model = self._open()
            wrong = self._golden(model)
            if wrong:
                raise ModelError(f"it computes wrongly: {wrong}")
            return model

        self._until = self._clock() + self._opening
        self._opened = True
        self._worker.start(prepare)

    def _look(self) -> None:
        """Takes the accelerator into use once it is open, and tries it again when its rest is over."""
        if not self._opened:
            if self._clock() >= self._until:
                self._try()
            return
        try:
            self._there = self._worker.result(0)
        except Empty:
            if self._clock() >= self._until:
                self._fail(f"not open within {self._opening:.0f} s")
        except Exception as error:
            self._fail(str(error) or type(error).__name__)
        else:
            self.cause, self._rest = "", _FIRST_REST
            _log.info("%s runs on %s", self.entry.name, self._where)

    def _fail(self, cause: str) -> None:
        self.cause = cause
        self.failures += 1
        self._there = None
        self._opened = False
        self._until = self._clock() + self._rest
        _log.error("%s runs on the CPU: %s failed: %s", self.entry.name, self._where, cause)
        self._rest = min(2 * self._rest, _LONGEST_REST)
        self._worker.end()  # a hung one is left behind, and what it still says is not heard
        self._worker = _Worker()


class Accelerators:
    """All accelerated models of this process. Given to ``runtime.configure``."""

    def __init__(self, settings: config.Accelerator) -> None:
        self._settings = settings
        self._models: list[Accelerated] = []
        self._without: list[str] = []
        if settings.kind == "edge-tpu":
            self.devices = coral_devices()

    def __call__(self, entry: Entry, folder: Path, cpu: Model) -> Model:
        """``cpu`` accelerated, or as it is when there is no variant of it for the accelerator."""
        kind = self._settings.kind
        if kind == "edge-tpu" and kind not in entry.variants:
            self._without.append(entry.name)
            _log.warning("%s runs on the CPU: the manifest has no variant of it for %s", entry.name, kind)
            return cpu
        model = Accelerated(kind, cpu, lambda: self._open(entry, folder))
        self._models.append(model)
        return model

    def _open(self, entry: Entry, folder: Path) -> Model:
        kind = self._settings.kind
        driver = runtime.delegate(self._settings.library or _LIBRARIES[kind])
        variant = entry.variants.get(kind)
        file, sha256 = (variant.file, variant.sha256) if variant else (entry.file, entry.sha256)
        return runtime.InterpretedModel(entry, runtime.verified(folder / file, sha256), 1, [driver])

    def status(self) -> Mapping[str, str]:
        """By model: what runs it, and why that is not the accelerator."""
        running = {m.entry.name: m.where + (f" ({m.cause})" if m.cause else "") for m in self._models}
        return running | dict.fromkeys(self._without, "cpu (no variant)")

    def troubles(self) -> list[str]:
        """What a person should know: models that do not run where they should."""
        return [f"{m.entry.name} runs on the CPU: {m.cause}" for m in self._models if m.failures and m.cause]


def coral_devices() -> list[str] | None:
    """The Edge TPUs that Coral's pycoral lists, None where it is not installed.

    Raises ``ModelError`` for the unrelated package of that name on PyPI.
    """
    if importlib.util.find_spec("pycoral") is None:
        return None
    try:
        edgetpu = importlib.import_module("pycoral.utils.edgetpu")
    except ModuleNotFoundError as error:
        raise ModelError(
            "The package pycoral that is installed here is not Coral's: on PyPI the name belongs to an unrelated "
            "project. Remove it (pip uninstall pycoral); Vidik does not need Coral's own."
        ) from error
    return [f"{found['type']} {found['path']}" for found in edgetpu.list_edge_tpus()]
