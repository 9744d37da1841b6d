"""The embedding model: turns text into vectors whose dot product is a similarity."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# A folder (as in our base image) or a name on the model hub.
MODEL = os.environ.get("CODESEARCH_MODEL", "sentence-transformers/all-MiniLM-L6-v2")


class Embedder:
    """Loads the model when it is first needed: importing it alone takes seconds. Safe to share between threads."""

    def __init__(self, model: str = MODEL) -> None:
        self._name = model
        self._model: SentenceTransformer | None = None
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        return self._model is not None

    def embed(self, texts: list[str]) -> np.ndarray:
        """One unit vector per text, as the rows of a matrix."""
        with self._lock:
            if self._model is None:
                from sentence_transformers import SentenceTransformer

                self._model = SentenceTransformer(self._name, device="cpu")
            return self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
