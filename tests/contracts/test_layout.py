"""Rules about the repository that no tool enforces by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_docker_folder_never_shadows_docker_py() -> None:
    assert not (ROOT / "docker" / "__init__.py").exists()


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("console.plain", {"docker", "watchfiles", "textual", "rich"}),
        ("console.ui.app", {"docker", "watchfiles"}),
        ("console.loop.plan", {"docker", "textual", "rich", "watchfiles"}),
        ("console.config", {"docker", "textual", "watchfiles", "rich"}),
        ("console.cli", {"docker", "textual", "watchfiles", "console.session"}),
        ("console.watch.watcher", {"docker", "textual"}),
    ],
)
def test_importing_a_module_loads_nothing_that_is_not_its_business(module: str, forbidden: set[str]) -> None:
    """import-linter reads the static graph; this sees deferred imports too."""
    code = f"import sys, {module}; print(' '.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert forbidden.isdisjoint(loaded.stdout.split())


def test_modules_stay_small_enough_to_read_in_one_sitting() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "console").rglob("*.py")}
    assert {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > 400} == {}
