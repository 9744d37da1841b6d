"""What is wrong with a config.toml, in words: file, key, value, and what would be right."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import Struct

from console.errors import ConfigError


def _struct_of(annotation: Any) -> type[Struct] | None:
    """The table's type behind an annotation such as `LegacyConfig | None` or `tuple[StageConfig, ...]`."""
    kinds = getattr(annotation, "__args__", ()) or (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Struct)), None)


def _types_of(kind: type[Struct]) -> dict[str, Any]:
    return {item.name: item.type for item in msgspec.structs.fields(kind)}


def refuse_unknown_keys(path: Path, table: dict[str, Any], kind: type[Struct], prefix: str) -> None:
    """Raises a `ConfigError` for the first key that a table's type does not have, tables within it included."""
    known = _types_of(kind)
    for key, value in table.items():
        if key not in known:
            raise unknown_key(path, f"{prefix}{key}", kind)
        inner = _struct_of(known[key])
        if inner is None:
            continue
        if get_origin(known[key]) is dict:
            named = value.items() if isinstance(value, dict) else ()
            for name, item in named:
                if isinstance(item, dict):
                    refuse_unknown_keys(path, item, inner, f"{prefix}{key}.{name}.")
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                refuse_unknown_keys(path, item, inner, f"{prefix}{key}.")


def unknown_key(path: Path, key: str, kind: type[Struct]) -> ConfigError:
    """What is said of a key that nobody knows: the nearest one, or all there are."""
    prefix, _, last = key.rpartition(".")
    names = [name for name in _types_of(kind) if name != "path"]
    near = difflib.get_close_matches(last, names, n=1, cutoff=0.5)
    place = f"[{prefix}]" if prefix else "the top level"
    hint = f"did you mean '{near[0]}'?" if near else f"{place} knows: {', '.join(names)}"
    return ConfigError(f"{path}: unknown key '{key}'", hint)


def wrong_value(path: Path, raw: dict[str, Any], error: msgspec.ValidationError, whole: type[Struct]) -> ConfigError:
    """Turns msgspec's `Expected int, got str - at $.watch.quiet_ms` into a sentence with the key and its value."""
    text, _, place = str(error).partition(" - at `$")
    key = place.strip("`.").removesuffix("[...]")
    value: Any = raw
    kind: Any = whole
    for part in re.findall(r"[A-Za-z_]+|\d+", key):
        if isinstance(value, dict):
            table = _struct_of(kind)
            value, kind = value.get(part, ""), _types_of(table)[part] if table else None
        else:
            value = value[int(part)]
    if key.startswith("build.secrets"):  # its value may be the secret itself
        hint = '[build.secrets] NAME = { env = "TOKEN" } or { file = "~/.token" }; the secret itself never stands here'
        return ConfigError(f"{path}: {key}: {text[:1].lower()}{text[1:]}", hint)
    if missing := re.search(r"missing required field `(\w+)`", text):
        hint = "[base] dockerfile and [app] dockerfile are required"
        return ConfigError(
            f"{path}: '{key and key + '.'}{missing[1]}' is missing",
            hint if key in ("", "base", "app") else f"add it to [{key}]",
        )
    hint = "docs/config.md lists every key and its values"
    if get_origin(kind) is Literal:
        hint = "one of " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    if place.endswith("[...]`"):  # a table of texts: say which of them
        name, value = next((name, item) for name, item in value.items() if not isinstance(item, str))
        key, hint = f"{key}.{name}", "put it in quotes"
    return ConfigError(f"{path}: {key} = {value!r}: {text[:1].lower()}{text[1:]}", hint)
