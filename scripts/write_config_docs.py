"""Writes docs/config.md from console/config.py: keys, values, defaults and the words that stand beside the fields.

`make docs`; a test holds the page against the code.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "console" / "config.py"
PAGE = ROOT / "docs" / "config.md"
HEAD = """\
# config.toml

Every key, written by `make docs` from `console/config.py`. Only `[base]` and `[app] dockerfile` are required.
Unknown keys and wrong values are refused, with the nearest valid one. Paths are relative to the file.
"""
_KINDS = {
    "_Text": "text",
    "_Milliseconds": "whole number",
    "Path": "path",
    "Path | None": "path",
    "str": "text",
    "bool": "`true`, `false`",
    "Mode": '`"split"`, `"legacy"`',
    "tuple[str, ...]": "list of texts",
    "tuple[str | tuple[str, ...], ...]": "list of texts or lists of texts",
    "tuple[Path, ...]": "list of paths",
    "dict[str, str]": "table of texts",
    "dict[str, str | ArgConfig]": 'table of texts or of `{ env = "NAME" }`',
}
_EMPTY = {"''", "Path()", "()", "None", "field(default_factory=dict)"}


def tables() -> Iterator[tuple[str, list[tuple[str, str, str, str]]]]:
    """Each table's heading with its keys: name, values, default, meaning."""
    for node in ast.parse(SOURCE.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef) or not (heading := ast.get_docstring(node) or "").startswith("["):
            continue
        rows = [row for row in keys(node) if row is not None]
        if rows:
            yield heading, rows


def keys(table: ast.ClassDef) -> Iterator[tuple[str, str, str, str] | None]:
    """The keys of one table; tables within it have their own heading."""
    for item, after in zip(table.body, [*table.body[1:], None], strict=True):
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        kind, default = ast.unparse(item.annotation), ast.unparse(item.value) if item.value else None
        if (kind not in _KINDS and kind.endswith(("Config", "Config]"))) or kind.startswith("tuple[StageConfig"):
            continue
        meaning = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            meaning = " ".join(str(after.value.value).split())
        required = "required" if default is None else "" if default in _EMPTY else f"`{toml(default)}`"
        yield item.target.id, values(kind), required, meaning.replace("|", "\\|")


def values(kind: str) -> str:
    """What may stand behind a key."""
    if kind.startswith("Literal["):
        return ", ".join(
            f"`{toml(ast.unparse(each))}`" for each in ast.walk(ast.parse(kind)) if isinstance(each, ast.Constant)
        )
    if found := re.match(r"Annotated\[(int|float), Meta\((.*)\)\]", kind):
        bounds = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
        limits = ", ".join(f"{bounds[name]} {value}" for name, value in re.findall(r"(\w+)=([\d_.]+)", found[2]))
        return f"{'whole number' if found[1] == 'int' else 'number'} {limits}"
    return _KINDS[kind]


def toml(text: str) -> str:
    """A Python literal as TOML writes it."""
    return {"True": "true", "False": "false"}.get(text, text.replace("'", '"'))


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for heading, rows in tables():
        name, _, words = heading.partition(": ")
        parts.append(f"## {name}\n" + (f"\n{words[:1].upper()}{words[1:]}\n" if words else ""))
        parts.append("| key | values | default | meaning |\n| --- | --- | --- | --- |")
        parts[-1] += (
            "".join(f"\n| `{key}` | {kind} | {default} | {meaning} |" for key, kind, default, meaning in rows) + "\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(ROOT)} written\n")
