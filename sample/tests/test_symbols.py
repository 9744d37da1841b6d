from __future__ import annotations

import pytest
from conftest import JAVASCRIPT, PYTHON, TYPESCRIPT

from codesearch.symbols import EXTENSIONS, find_symbols


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        (
            "cart.py",
            PYTHON,
            [
                (2, "class", "Cart", "class Cart"),
                (8, "method", "Cart.total", "def total(self, *, discount: int = 0) -> int"),
                (13, "function", "send_mail", "def send_mail(to)"),
            ],
        ),
        (
            "app.js",
            JAVASCRIPT,
            [
                (3, "function", "draw", "draw = (canvas) =>"),
                (5, "class", "Socket", "class Socket"),
                (8, "method", "Socket.connect", "connect(host)"),
                (8, "function", "Socket.connect.retry", "function retry()"),
            ],
        ),
        (
            "user.ts",
            TYPESCRIPT,
            [
                (2, "interface", "User", "interface User"),
                (5, "function", "verify", "async function verify<T>(password: string): Promise<boolean>"),
                (7, "class", "Shape", "abstract class Shape"),
                (7, "method", "Shape.area", "area(): number"),
            ],
        ),
    ],
)
def test_definitions(path: str, source: str, expected: list[tuple[int, str, str, str]]) -> None:
    assert [(s.line, s.kind, s.name, s.signature) for s in find_symbols(path, source.encode())] == expected


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        (
            "cart.py",
            PYTHON,
            {
                "Cart": "Holds what a customer is about to buy.",
                "Cart.total": "The sum to pay, less a discount.",
                "send_mail": "Delivers a letter to your electronic mailbox, if the address is yours.",
            },
        ),
        (
            "app.js",
            JAVASCRIPT,
            {"draw": "Draws the chart on the screen.", "Socket.connect": "Opens a connection to the network."},
        ),
        ("user.ts", TYPESCRIPT, {"verify": "Checks a password against its hash."}),
    ],
)
def test_documentation(path: str, source: str, expected: dict[str, str]) -> None:
    assert {s.name: s.doc for s in find_symbols(path, source.encode()) if s.doc} == expected


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_every_grammar_loads_and_survives_broken_code(extension: str) -> None:
    find_symbols(f"broken{extension}", b"class A { def \xff (:")
