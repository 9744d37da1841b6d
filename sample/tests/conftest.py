from __future__ import annotations

from pathlib import Path

import pytest

from codesearch.embedding import Embedder

PYTHON = '''
class Cart:
    """Holds what a customer is about to buy.

    Prices are in cents.
    """

    def total(self, *, discount: int = 0) -> int:
        """The sum to pay, less a discount."""
        return 0


def send_mail(to):
    """Delivers a letter to your electronic mailbox, if the address is yours."""
'''

JAVASCRIPT = """
/** Draws the chart on the screen. */
export const draw = (canvas) => { return canvas }

class Socket {
  /** Opens a connection
   *  to the network. */
  connect(host) { function retry() {} }
}
"""

TYPESCRIPT = """
export interface User { name: string }

/** Checks a password against its hash. */
export async function verify<T>(password: string): Promise<boolean> { return true }

abstract class Shape { area(): number { return 0 } }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A tree with a file in each language, and files that a search has to leave out."""
    files = {
        "shop/cart.py": PYTHON,
        "web/app.js": JAVASCRIPT,
        "web/user.ts": TYPESCRIPT,
        ".gitignore": "generated/\n",
        "generated/cart.py": PYTHON,
        "README.md": "The cart is in shop.\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The real model, loaded once for all tests."""
    return Embedder()
