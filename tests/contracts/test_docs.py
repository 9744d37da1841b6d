"""Pages that are written from the code say what the code says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_config_page_is_up_to_date() -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "write_config_docs.py"))["page"]()
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == written, "run `make docs`"


def test_every_link_within_the_repository_leads_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "sample" / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
