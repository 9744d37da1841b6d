"""The base as the command line prints it."""

from __future__ import annotations

from dataclasses import replace

from console.base_values import BaseContents, BasePackage, BaseStatus, BaseVersion, HeldBase, HeldBecause
from console.state.base_report import contents_lines, status_lines, superfluous_line, version_lines

NOW = 1_764_000_000.0
BASE = BaseStatus(
    "demo-base:latest",
    present=True,
    image_id="sha256:0123456789abcdef",
    created_at=NOW - 2 * 86_400,
    size_bytes=1_910_000_000,
    fingerprint="f",
    inputs_fingerprint="f",
    version="2026.11.24",
    previous="2026.11.20",
)
CURRENT = BaseVersion(
    BASE.image_id, ("2026.11.24", "latest", "sha-1a2b3c4"), BASE.created_at, BASE.size_bytes,
    version="2026.11.24", apps=("demo",), current=True,
)  # fmt: skip
OLDER = BaseVersion("sha256:fedc", ("2026.11.20",), NOW - 6 * 86_400, 900_000_000, "sha256:" + "d" * 64, "2026.11.20")


def test_a_fresh_base() -> None:
    assert status_lines(BASE, (CURRENT, OLDER), "", NOW) == [
        "base       demo-base:latest: fresh",
        "version    2026.11.24 (latest, sha-1a2b3c4)",
        "built      2025-11-22 16:00 UTC, 2 d ago",
        "image      0123456789ab, 1.91 GB",
        "digest     none: it was neither pushed nor pulled",
        "rollback   2026.11.20",
        "apps       demo",
        "registry   none: [base] repository is not set",
    ]


def lines_of(base: BaseStatus, remote: str = "") -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(" ") for line in status_lines(base, (), remote, NOW))}


def test_what_is_stale_held_pinned_or_newer_is_told() -> None:
    held = HeldBase(HeldBecause.CHECK, "`true`: exit code 1", "2026.11.26")
    base = replace(BASE, stale_files=("requirements.txt",), held=held, pinned=True, newer="sha256:" + "e" * 64)
    said = lines_of(base, "ghcr.io/me/demo-base")
    assert said["base"].strip() == "demo-base:latest: stale, requirements.txt changed"
    assert "did not pass its check: `true`: exit code 1; splitdeck base build tries again" in said["held"]
    assert "pinned in config.toml" in said["version"]
    assert said["registry"].strip() == "ghcr.io/me/demo-base; another one is latest there: eeeeeeeeeeee"


def test_no_base_and_one_of_somebody_else() -> None:
    assert "splitdeck base build makes it" in lines_of(BaseStatus("demo-base:latest", present=False))["base"]
    pinned = BaseStatus("demo-base:1", present=False, pinned=True)
    assert "splitdeck base pull" in lines_of(pinned, "ghcr.io/me/demo-base")["base"]
    assert "splitdeck base use latest" in lines_of(pinned)["base"]
    assert "what it was built from is not known" in lines_of(replace(BASE, fingerprint=""))["base"]


def test_versions_are_a_table() -> None:
    assert version_lines((CURRENT, replace(OLDER, pinned=True)), NOW) == [
        "version     age  size     digest                 tags                apps on it",
        "2026.11.24  2 d  1.91 GB  –             current  latest sha-1a2b3c4  demo",
        "2026.11.20  6 d  900 MB   dddddddddddd  pinned   –                   –",
    ]
    assert version_lines((), NOW) == ["no version of the base image is on this engine yet"]


def test_packages_are_a_table() -> None:
    packages = (BasePackage("dpkg", "git", "1:2.39"), BasePackage("pip", "numpy", "1.26.4"))
    assert contents_lines(BaseContents("2026.11.24", "sha256:a", packages)) == [
        "2026.11.24: 1 dpkg, 1 pip",
        "dpkg  git    1:2.39",
        "pip   numpy  1.26.4",
    ]
    assert contents_lines(BaseContents("2026.11.24", "sha256:a", ())) == ["2026.11.24: no packages"]


def test_what_a_prune_would_remove() -> None:
    assert superfluous_line((OLDER,)) == "would be removed: 2026.11.20"
    assert superfluous_line(()) == "nothing would be removed: each version here is needed"
