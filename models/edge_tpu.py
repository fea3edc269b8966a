"""Rewrites that make a converted model acceptable to the Edge TPU compiler without changing what it computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
