"""Finds the functions, classes, methods and interfaces of a source file with tree-sitter."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import Literal, NamedTuple, cast

from tree_sitter import Language, Node, Parser, Query, QueryCursor

Kind = Literal["class", "function", "interface", "method"]

_PYTHON = """
(class_definition name: (_) @name) @class
(function_definition name: (_) @name) @function
"""
_JAVASCRIPT = """
(class_declaration name: (_) @name) @class
(method_definition name: (_) @name) @method
(function_declaration name: (_) @name) @function
(generator_function_declaration name: (_) @name) @function
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression)]) @function
"""
_TYPESCRIPT = f"""{_JAVASCRIPT}
(abstract_class_declaration name: (_) @name) @class
(interface_declaration name: (_) @name) @interface
"""

# File name extension -> grammar package, its function, the query that finds definitions.
_LANGUAGES = {
    ".py": ("tree_sitter_python", "language", _PYTHON),
    ".js": ("tree_sitter_javascript", "language", _JAVASCRIPT),
    ".jsx": ("tree_sitter_javascript", "language", _JAVASCRIPT),
    ".mjs": ("tree_sitter_javascript", "language", _JAVASCRIPT),
    ".ts": ("tree_sitter_typescript", "language_typescript", _TYPESCRIPT),
    ".tsx": ("tree_sitter_typescript", "language_tsx", _TYPESCRIPT),
}
EXTENSIONS = frozenset(_LANGUAGES)

# What may stand between a JavaScript definition and the comment that documents it.
_WRAPPERS = frozenset({"export_statement", "lexical_declaration", "variable_declaration"})


@dataclass(frozen=True)
class Symbol:
    """A definition. `name` is qualified (`Class.method`), `line` counts from 1, `doc` is its first paragraph."""

    path: str
    line: int
    kind: Kind
    name: str
    signature: str
    doc: str

    @property
    def text(self) -> str:
        """What stands for the symbol in a semantic search: its names as words, then what it says of itself."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[._]+", " ", self.name)
        return f"{self.kind} {words}. {self.doc or self.signature}"


def find_symbols(path: str, source: bytes) -> list[Symbol]:
    """The definitions in `source`, in its order. Broken code gives what can still be recognised."""
    parser, query = _language(PurePath(path).suffix)
    found: dict[int, _Definition] = {}
    for _, captures in QueryCursor(query).matches(parser.parse(source).root_node):
        (name,) = captures.pop("name")
        ((capture, (node,)),) = captures.items()
        found[node.id] = _Definition(node, cast("Kind", capture), _text(name))

    symbols = []
    for definition in sorted(found.values(), key=lambda each: each.node.start_byte):
        node, kind = definition.node, definition.kind
        outer = [found[parent.id] for parent in _parents(node) if parent.id in found]
        if kind == "function" and outer and outer[0].kind == "class":
            kind = "method"
        qualified = ".".join(each.name for each in [*reversed(outer), definition])
        symbols.append(Symbol(path, node.start_point.row + 1, kind, qualified, _signature(node, source), _doc(node)))
    return symbols


class _Definition(NamedTuple):
    node: Node
    kind: Kind
    name: str


@cache
def _language(extension: str) -> tuple[Parser, Query]:
    package, function, query = _LANGUAGES[extension]
    language = Language(getattr(importlib.import_module(package), function)())
    return Parser(language), Query(language, query)


def _text(node: Node) -> str:
    return node.text.decode(errors="replace") if node.text else ""


def _parents(node: Node) -> Iterator[Node]:
    while parent := node.parent:
        yield parent
        node = parent


def _body(node: Node) -> Node | None:
    return (node.child_by_field_name("value") or node).child_by_field_name("body")


def _signature(node: Node, source: bytes) -> str:
    """The definition up to its body, on one line."""
    body = _body(node)
    head = source[node.start_byte : body.start_byte if body else node.end_byte].decode(errors="replace")
    return " ".join(head.split()).rstrip(" :{")


def _doc(node: Node) -> str:
    """The first paragraph of the docstring, or of the `/** */` comment before the definition."""
    text = _docstring(node) or _doc_comment(node)
    return " ".join(text.strip().split("\n\n")[0].split())


def _docstring(node: Node) -> str:
    body = _body(node)
    statement = body.named_children[0] if body and body.named_children else None
    if statement is None or statement.type != "expression_statement":
        return ""
    string = statement.named_children[0]
    return "".join(_text(part) for part in string.named_children if part.type == "string_content")


def _doc_comment(node: Node) -> str:
    while node.parent and node.parent.type in _WRAPPERS:
        node = node.parent
    before = node.prev_named_sibling
    comment = _text(before) if before and before.type == "comment" else ""
    return re.sub(r"^\s*\*? ?", "", comment[3:-2], flags=re.MULTILINE) if comment.startswith("/**") else ""
