"""Events as JSON lines: the public contract of docs/events.md."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from console.events import BuildFinished, Event, LogEvent, Stamped
from console.model import Step

_MOMENTS = frozenset({"saved_at", "started_at", "created_at", "last_at"})
"""Fields that hold seconds since 1970; 0 stands for "unknown" there."""


def to_json(stamped: Stamped) -> list[str]:
    """One JSON object per line: a log event gives one per log line, every other event one."""
    event = stamped.event
    head = {"event": event.name, "at": iso_time(stamped.at), **_payload(event)}
    if isinstance(event, LogEvent):
        return [json.dumps({**head, "text": line}) for line in event.lines]
    return [json.dumps(head)]


def iso_time(at: float) -> str:
    """A moment (seconds since 1970) as the JSON events carry it: UTC, microseconds, `Z`."""
    return datetime.fromtimestamp(at, tz=timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def json_value(value: Any, field: str = "") -> Any:
    """A value as JSON events carry it; `field` is the name of the field that holds it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        if field in _MOMENTS:
            return iso_time(value) if value else None
        return round(value, 3)
    if isinstance(value, (tuple, list)):
        return [json_value(item, field) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: json_value(getattr(value, item.name), item.name) for item in fields(value)}
    return value


def _payload(event: Event) -> dict[str, Any]:
    """An event's fields, under their public names."""
    public = {item.name.rstrip("_"): json_value(getattr(event, item.name), item.name) for item in fields(event)}
    if isinstance(event, LogEvent):
        del public["lines"]
    if isinstance(event, BuildFinished):
        public["steps"] = [_finished_step(step) for step in event.steps]
    return public


def _finished_step(step: Step) -> dict[str, Any]:
    """What of a step still matters once its build is over."""
    return {
        "name": step.name,
        "stage": step.stage,
        "cached": step.cached,
        "status": step.status.value,
        "started_at": None if step.started_at is None else iso_time(step.started_at),
        "duration_ms": round(step.duration_ms, 3),
        "exact": step.exact,
    }
