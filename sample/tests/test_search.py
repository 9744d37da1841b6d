from __future__ import annotations

from pathlib import Path

import pytest

from codesearch import textsearch
from codesearch.embedding import Embedder
from codesearch.index import SymbolIndex
from codesearch.textsearch import InvalidSearchError, Match


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("how much does the customer have to pay", "Cart.total"),
        ("does the secret word match", "verify"),
        ("write an email", "send_mail"),
        ("talk to another computer", "Socket.connect"),
    ],
)
def test_the_nearest_meaning_comes_first(project: Path, embedder: Embedder, query: str, best: str) -> None:
    hits = SymbolIndex(project, embedder).search(query, limit=3)
    assert hits[0][0].name == best
    scores = [score for _, score in hits]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)


def test_only_the_kind_asked_for(project: Path, embedder: Embedder) -> None:
    hits = SymbolIndex(project, embedder).search("shopping", limit=9, kind="class")
    assert {symbol.name for symbol, _ in hits} == {"Cart", "Shape", "Socket"}


def test_an_empty_tree_has_no_answers(tmp_path: Path, embedder: Embedder) -> None:
    assert SymbolIndex(tmp_path, embedder).search("anything", limit=5) == []


def test_the_index_follows_the_files(project: Path, embedder: Embedder) -> None:
    index = SymbolIndex(project, embedder)
    index.search("anything", limit=1)
    (project / "shop/cart.py").unlink()
    (project / "shop/bake.py").write_text("def bake_bread():\n    '''Puts dough into the oven.'''\n")
    assert index.search("cooking", limit=1)[0][0].name == "bake_bread"
    assert {symbol.path for symbol in index.list_symbols("shop")} == {"shop/bake.py"}


def test_text_is_found_where_the_project_does_not_ignore_it(project: Path) -> None:
    assert textsearch.search(project, "(?i)cart") == [
        Match("README.md", 1, "The cart is in shop."),
        Match("shop/cart.py", 2, "class Cart:"),
    ]
    assert textsearch.search(project, "(?i)cart", "shop") == [Match("shop/cart.py", 2, "class Cart:")]
    assert len(textsearch.search(project, ".", limit=3)) == 3
    assert textsearch.search(project, "nowhere") == []


@pytest.mark.parametrize(("pattern", "path"), [("(", "."), ("x", "../"), ("x", "missing"), ("x", "/etc/passwd")])
def test_what_cannot_be_searched_is_refused(project: Path, pattern: str, path: str) -> None:
    with pytest.raises(InvalidSearchError):
        textsearch.search(project, pattern, path)
