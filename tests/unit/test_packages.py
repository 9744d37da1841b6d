"""What package databases and metadata say, read without an engine; what is kept of it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.base import packages as module
from console.base.packages import Package, PackageCache, read_packages
from console.errors import EngineError

DPKG = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u8
Description: GNU C Library
 Version: not this one

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36-9+deb12u8

Package: gone
Status: deinstall ok config-files
Version: 1.0-1

Package: half
Status: install ok half-configured
Version: 1.0-2
"""
DISTROLESS = "Package: base-files\nVersion: 12.4+deb12u8\n"
APK = "C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:ld.so\n\nP:busybox\nV:1.36.1-r29\n"
PIP = """\
/usr/lib/python3/dist-packages/six-1.16.0.egg-info:Name: six
/usr/lib/python3/dist-packages/six-1.16.0.egg-info:Version: 1.16.0
/opt/venv/lib/python3.11/site-packages/Ruamel_yaml-1.dist-info/METADATA:Name: Ruamel_yaml.x
/opt/venv/lib/python3.11/site-packages/Ruamel_yaml-1.dist-info/METADATA:Version: 1
/app/.venv/lib/python3.12/site-packages/torch-2.13.0+cpu.dist-info/METADATA:Version: 2.13.0+cpu
/app/.venv/lib/python3.12/site-packages/torch-2.13.0+cpu.dist-info/METADATA:Name: torch
/app/.venv/lib/python3.12/site-packages/none.dist-info/METADATA:Name: none
grep: a stray line
"""
FOUND = (
    Package("apk", "busybox", "1.36.1-r29"),
    Package("apk", "musl", "1.2.5-r0"),
    Package("dpkg", "base-files", "12.4+deb12u8"),
    Package("dpkg", "libc6", "2.36-9+deb12u8"),
    Package("pip", "ruamel-yaml-x", "1"),
    Package("pip", "six", "1.16.0"),
    Package("pip", "torch", "2.13.0+cpu"),
)


def test_what_the_command_prints_is_read() -> None:
    text = (
        f"splitdeck: begin\n\nsplitdeck: dpkg\n{DPKG}\nsplitdeck: dpkg\n{DISTROLESS}\nsplitdeck: apk\n{APK}"
        "\nsplitdeck: rpm\nglibc 2.34-100.el9\nopenssl 1:3.0.7-27.el9\ngpg-pubkey 8483c65d-5ccc5b19\n"
        f"\nsplitdeck: pip\n{PIP}\nsplitdeck: end\n"
    )
    assert module._sorted(module._from_script(text)) == (
        *FOUND,
        Package("rpm", "glibc", "2.34-100.el9"),
        Package("rpm", "openssl", "1:3.0.7-27.el9"),
    )


FILES = {
    "var/lib/dpkg/status": DPKG,
    "var/lib/dpkg/status.d/base-files": DISTROLESS,
    "var/lib/dpkg/status.d/base-files.md5sums": "Package: sums\nVersion: 1\n",
    "lib/apk/db/installed": APK,
    "usr/lib/python3/dist-packages/six-1.16.0.egg-info": "Metadata-Version: 1.1\nName: six\nVersion: 1.16.0\n",
    "opt/venv/lib/python3.11/site-packages/Ruamel_yaml-1.dist-info/METADATA": "Name: Ruamel_yaml.x\nVersion: 1\n",
    "app/.venv/lib/python3.12/site-packages/torch-2.13.0+cpu.dist-info/METADATA": (
        "Metadata-Version: 2.1\nVersion: 2.13.0+cpu\nName: torch\n\nName: not this one\n"
    ),
    "app/.venv/lib/python3.12/site-packages/setuptools/_vendor/wheel-0.43.dist-info/METADATA": (
        "Name: wheel\nVersion: 0.43\n"
    ),
    "app/.venv/lib/python3.12/site-packages/none.dist-info/METADATA": "Name: none\n",
}


class ArchiveOnly:
    """An engine that starts nothing, as for an image without a shell, but gives a container's files."""

    def __init__(self, archive: bytes, start: str) -> None:
        self._archive = archive
        self._start = start
        self.containers: set[str] = set()

    def create_container_from_config(self, config: dict[str, Any], name: str) -> None:
        assert config["Image"] == "sha256:it"
        self.containers.add(name)

    def remove_container(self, name: str, **_: object) -> None:
        self.containers.remove(name)

    def attach(self, *_: object, **__: object) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def start(self, _: str) -> None:
        from docker.errors import APIError

        raise APIError("400", explanation=self._start)

    def export(self, _: str) -> Iterator[bytes]:
        for start in range(0, len(self._archive), 1000):
            yield self._archive[start : start + 1000]


def archive_of(files: dict[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        folder = tarfile.TarInfo("var/lib/dpkg/status.d")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


NO_SHELL = 'unable to start container process: exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown'


def test_an_image_without_a_shell_is_read_as_an_archive() -> None:
    engine: Any = ArchiveOnly(archive_of(FILES), NO_SHELL)
    assert read_packages(engine, "sha256:it", project="demo") == FOUND
    assert engine.containers == set()


def test_an_image_without_any_package_has_none() -> None:
    engine: Any = ArchiveOnly(archive_of({"hello": "world"}), NO_SHELL)
    assert read_packages(engine, "sha256:it", project="demo") == ()


def test_an_archive_that_breaks_off_and_an_engine_that_refuses_are_told() -> None:
    whole = archive_of({"a": "x" * 5000})
    broken: Any = ArchiveOnly(b"no archive at all" * 100, NO_SHELL)
    with pytest.raises(EngineError, match="sha256:it"):
        read_packages(broken, "sha256:it", project="demo")
    short: Any = ArchiveOnly(whole[:2000], NO_SHELL)
    with pytest.raises(EngineError, match="sha256:it"):
        read_packages(short, "sha256:it", project="demo")
    full: Any = ArchiveOnly(whole, "no space left on device")
    with pytest.raises(EngineError, match="no space left"):
        read_packages(full, "sha256:it", project="demo")
    assert broken.containers == short.containers == full.containers == set()


def test_what_images_hold_is_kept_and_found_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "state" / "packages.json"
    cache = PackageCache(path)
    assert cache.get("sha256:a") is None
    assert cache.keep("sha256:a", FOUND) == FOUND
    assert PackageCache(path).get("sha256:a") == FOUND
    assert isinstance((PackageCache(path).get("sha256:a") or ())[0], Package)
    assert [file.name for file in path.parent.iterdir()] == ["packages.json"]


def test_two_processes_keep_what_both_found(tmp_path: Path) -> None:
    path = tmp_path / "packages.json"
    one, other = PackageCache(path), PackageCache(path)
    one.keep("sha256:a", ())
    other.keep("sha256:b", FOUND)
    assert one.get("sha256:b") == FOUND
    assert PackageCache(path).get("sha256:a") == ()


def test_only_the_newest_images_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "packages.json"
    cache = PackageCache(path)
    for number in range(60):
        cache.keep(f"sha256:{number}", ())
        cache.keep("sha256:0", ())
    kept = json.loads(path.read_text())["images"]
    assert len(kept) == 50
    assert list(kept)[-2:] == ["sha256:59", "sha256:0"]
    assert "sha256:11" in kept
    assert "sha256:10" not in kept


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 0, "images": {"sha256:a": []}}', b'{"format": 1, "images": 3}', b"\xff"]
)
def test_a_broken_file_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "packages.json"
    path.write_bytes(content)
    cache = PackageCache(path)
    assert cache.get("sha256:a") is None
    cache.keep("sha256:a", FOUND)
    assert PackageCache(path).get("sha256:a") == FOUND


def test_where_nothing_can_be_written_it_is_kept_for_the_session(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = PackageCache(tmp_path / "file" / "packages.json")
    cache.keep("sha256:a", FOUND)
    assert cache.get("sha256:a") == FOUND
