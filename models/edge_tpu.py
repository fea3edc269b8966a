"""Models for the Edge TPU: what makes the compiler accept them, and ``python -m models.edge_tpu``, which compiles them.

Coral's ``edgetpu_compiler`` runs on x86-64 Debian; its output goes beside the models and into the manifest.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from models import manifest

COMPILER = "edgetpu_compiler"
VARIANT = "edge-tpu"
_MAPPED = re.compile(r"Number of operations that will run on Edge TPU:\s*(\d+)")
_LEFT = re.compile(r"Number of operations that will run on CPU:\s*(\d+)")

_HALF_PIXEL = 6  # vtable slots of ResizeNearestNeighborOptions and OperatorCode in the TFLite schema
_VERSION = 8


def plain_resize(file: Path) -> int:
    """Marks nearest-neighbour resizing in ``file`` as without half-pixel centres; returns how many there were.

    For whole factors both conventions pick the same source pixels, but the compiler refuses the version of
    the operation that half-pixel centres need. Raises ``ValueError`` for a factor that is not whole.
    """
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only a release of a model needs it

    content = bytearray(file.read_bytes())  # changed in place: large weights lie outside of the flatbuffer
    model = schema.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    changed = 0
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex())
        if code.BuiltinCode() != schema.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR:
            continue
        before, after = (graph.Tensors(t).ShapeAsNumpy()[1:3] for t in (operator.Inputs(0), operator.Outputs(0)))
        if (after % before).any():
            raise ValueError(f"nearest-neighbour resizing from {before} to {after}: the factor is not whole")
        options = schema.ResizeNearestNeighborOptions()
        options.Init(content, operator.BuiltinOptions().Pos)
        content[_field(options, _HALF_PIXEL)] = 0
        position = _field(code, _VERSION)
        content[position : position + 4] = (2).to_bytes(4, "little")
        changed += 1
    file.write_bytes(content)
    return changed


def _field(table: Any, slot: int) -> int:
    """Where the field at vtable ``slot`` of a flatbuffer table lies in the file. Raises ``ValueError`` if unset."""
    offset = table._tab.Offset(slot)  # noqa: SLF001 - the generated classes offer no way to write
    if not offset:
        raise ValueError(f"{type(table).__name__} has its default, which cannot be changed in place")
    return int(table._tab.Pos + offset)  # noqa: SLF001


def compile_model(name: str, file: Path) -> str:
    """Compiles ``file``, the int8 model ``name``, for the Edge TPU and records it; returns what became of it.

    Raises ``RuntimeError`` where the compiler is missing or refuses the model.
    """
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise RuntimeError(f"{COMPILER} is not installed: Coral's documentation says where its Debian packages are.")
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run([compiler, "-s", "-o", folder, str(file)], capture_output=True, text=True, check=False)
        made = Path(folder) / f"{file.stem}_edgetpu.tflite"
        if told.returncode or not made.exists():
            raise RuntimeError(f"{COMPILER} refuses {name}: {(told.stderr or told.stdout).strip()[-500:]}")
        target = file.with_name(made.name)
        shutil.copyfile(made, target)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    manifest.add_variant(name, VARIANT, str(target.relative_to(manifest.FOLDER)), digest)
    mapped, left = (found.group(1) if (found := form.search(told.stdout)) else "?" for form in (_MAPPED, _LEFT))
    return f"{name}: {mapped} operations on the Edge TPU, {left} on the CPU"


def main() -> int:
    """Compiles every int8 model of the manifest. Returns 1 when one could not be."""
    failed = False
    for entry in manifest.known():
        if entry["name"] in FLOAT:
            print(f"{entry['name']}: float, stays on the CPU")
            continue
        try:
            print(compile_model(entry["name"], manifest.FOLDER / entry["file"]))
        except RuntimeError as error:
            failed = True
            print(error, file=sys.stderr)
    return int(failed)


FLOAT = frozenset({"face-detector"})  # shipped as its makers published it: the compiler takes integer models only

if __name__ == "__main__":
    sys.exit(main())
