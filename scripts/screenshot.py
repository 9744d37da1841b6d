"""Writes docs/screenshot.svg: the console on the sample, after a real save and a real race against the legacy build.

`make screenshot`; takes as long as the legacy build (minutes). Works on a copy, under another name and port, so that a
running demo is left alone.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "screenshot.svg"
DEADLINE_S = 900.0
_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""A picture should not make its reader's browser fetch fonts; any fixed-width font will do."""


def copy_sample(folder: Path) -> Path:
    """A copy of the sample; returns the module to edit."""
    for name in ("sample", "docker"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for name in ("Dockerfile.legacy", ".dockerignore"):
        shutil.copy(ROOT / name, folder)
    config = (ROOT / "config.toml").read_text().replace('name = "codesearch"', 'name = "code-search"')
    config = config.replace("[base]", '[base]\nimage = "codesearch-base"', 1).replace(":8000:8000", ":18080:8000")
    (folder / "config.toml").write_text(config)
    return folder / "sample" / "codesearch" / "__init__.py"


async def take(folder: Path) -> str:
    """Plays the session and gives the picture."""
    from console.config import load_config
    from console.model import BuildStatus
    from console.session import Session
    from console.state.app_state import AppState
    from console.state.store import Store
    from console.ui.app import ConsoleApp

    module = copy_sample(folder)
    store = Store()
    store.attach(asyncio.get_running_loop())
    session = Session(load_config(folder / "config.toml"), store)
    app = ConsoleApp(store, session.request)

    async def until(reached: Callable[[AppState], bool]) -> None:
        deadline = asyncio.get_running_loop().time() + DEADLINE_S
        while not reached(store.state):
            if asyncio.get_running_loop().time() > deadline:
                raise SystemExit("the session did not get there; see the console for why: make demo")
            await asyncio.sleep(0.05)

    async def save(text: str, batch: int) -> None:
        module.write_text(module.read_text() + f"\n# {text}, {time.time()}\n")  # unlike any that a cache may hold
        await until(lambda state: state.container.batch == batch)
        await asyncio.sleep(1.5)

    def legacy_builds(state: AppState) -> int:
        build = state.legacy_build
        return build.number if build is not None and build.status is BuildStatus.OK else 0

    async with app.run_test(size=(120, 40)) as pilot:
        await session.start()
        await until(lambda state: bool(state.container.address))
        await pilot.press("l")  # the first legacy build on this machine may be a cold one
        await until(lambda state: legacy_builds(state) > 0)
        first = legacy_builds(store.state)
        await save("an edit", 1)
        await pilot.press("l")
        await until(lambda state: legacy_builds(state) > first)
        for batch in range(2, 6):
            await save("another edit", batch)
        await pilot.pause(1)
        picture = _FONT.sub("", app.export_screenshot(title="splitdeck"))
        await session.stop()
    return picture


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="splitdeck-") as place:
        os.environ["SPLITDECK_STATE_DIR"] = str(Path(place, "state"))
        folder = Path(place, "code-search")
        folder.mkdir()
        picture = asyncio.run(take(folder))
    TARGET.write_text(picture)
    sys.stdout.write(f"{TARGET.relative_to(ROOT)} written; its container: docker rm -f code-search\n")


if __name__ == "__main__":
    main()
