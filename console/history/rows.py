"""Samples as rows: what is asked for in bulk in plain columns; steps, causes and layers packed, as they are read whole.

A packed list begins with the names of its fields, so that versions with other fields read each other's.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from console.format import printable
from console.measurements import Layer, Sample, Trigger
from console.model import BuildStatus, Cause, CauseKind, Scenario, Step, StepKind, StepStatus, Target


@dataclass(frozen=True, slots=True)
class _Packed:
    """How the values of one packed column are made."""

    kind: type
    converted: Mapping[str, Callable[[Any], Any]]


_PACKED: Mapping[str, _Packed] = {
    "steps": _Packed(
        Step, {"kind": StepKind, "status": StepStatus, "intervals": lambda found: tuple(map(tuple, found))}
    ),
    "causes": _Packed(Cause, {"kind": CauseKind, "names": tuple}),
    "layers": _Packed(Layer, {}),
}
COLUMNS = tuple(item.name for item in fields(Sample) if item.name not in {"number", *_PACKED})
"""Of the table `sample`, beside its `id`."""
DETAILS = tuple(_PACKED)
"""Of the table `detail`."""
_MADE: Mapping[str, Callable[[Any], Any]] = {
    "target": Target,
    "scenario": Scenario,
    "status": BuildStatus,
    "trigger": Trigger,
    "no_cache": bool,
}


def row_of(sample: Sample) -> tuple[list[Any], list[bytes]]:
    """What `COLUMNS` and `DETAILS` hold of a sample."""
    columns = [getattr(sample, name) for name in COLUMNS]
    columns[COLUMNS.index("reason")] = printable(sample.reason)
    return columns, [_pack(getattr(sample, name), packed.kind) for name, packed in _PACKED.items()]


def sample_of(row: Sequence[Any], details: Sequence[bytes] = ()) -> Sample | None:
    """A row (its `id`, then `COLUMNS`) as a sample; None for one that makes no sense to this version.

    Args:
        row: Of the table `sample`.
        details: Of the table `detail`; without them the sample has no steps, causes and layers.
    """
    values = dict(zip(COLUMNS, row[1:], strict=True))
    try:
        for name, made in _MADE.items():
            values[name] = made(values[name])
        values |= {name: _unpack(name, blob) for name, blob in zip(DETAILS, details, strict=False)}
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error):
        return None
    return Sample(**values, number=row[0])


def _pack(values: Sequence[Any], kind: type) -> bytes:
    """The field names once, then one row for each value; nothing at all for none."""
    if not values:
        return b""
    names = [item.name for item in fields(kind)]
    table = [names, *([getattr(value, name) for name in names] for value in values)]
    return zlib.compress(json.dumps(table, separators=(",", ":")).encode(), 1)


@lru_cache(512)  # the panel asks for mostly the same samples after every build
def _unpack(column: str, blob: bytes) -> tuple[Any, ...]:
    """The values; fields that this version does not know are left out, those that it misses get their default."""
    if not blob:
        return ()
    packed = _PACKED[column]
    known = {item.name for item in fields(packed.kind)}
    names, *rows = json.loads(zlib.decompress(blob))
    found = []
    for row in rows:
        values = {name: value for name, value in zip(names, row, strict=True) if name in known}
        for name, converted in packed.converted.items():
            values[name] = converted(values[name])
        found.append(packed.kind(**values))
    return tuple(found)
