"""The symbols of a tree of files and their vectors, kept up with the files."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesearch.embedding import Embedder
from codesearch.symbols import EXTENSIONS, Kind, Symbol, find_symbols
from codesearch.textsearch import inside, list_files


@dataclass
class _File:
    stamp: tuple[int, int]
    symbols: list[Symbol]
    vectors: np.ndarray | None = None  # one row per symbol, made for the first semantic search


class SymbolIndex:
    """Each question first looks at which files have changed; only those are parsed and embedded anew."""

    def __init__(self, root: Path, embedder: Embedder) -> None:
        self.root = root
        self.embedder = embedder
        self._files: dict[Path, _File] = {}
        self._lock = threading.Lock()

    @property
    def symbol_count(self) -> int:
        """How many symbols are indexed so far."""
        return sum(len(file.symbols) for file in self._files.values())

    def list_symbols(self, path: str) -> list[Symbol]:
        """The symbols of a file, or of all files under a folder."""
        full = inside(self.root, path)
        with self._lock:
            self._refresh()
            return [s for file, entry in self._files.items() if file.is_relative_to(full) for s in entry.symbols]

    def search(self, query: str, limit: int, kind: Kind | None = None) -> list[tuple[Symbol, float]]:
        """The symbols nearest in meaning to `query`, best first, with their cosine similarity."""
        with self._lock:
            self._refresh()
            self._embed()
            entries = [entry for entry in self._files.values() if entry.symbols]
        if not entries:
            return []
        symbols = [symbol for entry in entries for symbol in entry.symbols]
        scores = np.concatenate([entry.vectors for entry in entries]) @ self.embedder.embed([query])[0]
        ranked = ((symbols[i], float(scores[i])) for i in np.argsort(-scores))
        return [hit for hit in ranked if kind in (None, hit[0].kind)][:limit]

    def _refresh(self) -> None:
        files: dict[Path, _File] = {}
        for path in list_files(self.root, EXTENSIONS):
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_size)
                known = self._files.get(path)
                if known is None or known.stamp != stamp:
                    name = str(path.relative_to(self.root))
                    known = _File(stamp, find_symbols(name, path.read_bytes()))
                files[path] = known
            except OSError:  # deleted since it was listed, or not readable: not part of the tree
                continue
        self._files = files

    def _embed(self) -> None:
        """Embeds what has no vectors yet in one batch, which is far quicker than file by file."""
        new = [entry for entry in self._files.values() if entry.vectors is None and entry.symbols]
        if not new:
            return
        vectors = self.embedder.embed([symbol.text for entry in new for symbol in entry.symbols])
        ends = np.cumsum([len(entry.symbols) for entry in new])
        for entry, rows in zip(new, np.split(vectors, ends[:-1]), strict=True):
            entry.vectors = rows
