"""Which packages an image holds, by dpkg, apk, rpm and pip.

One shell command in a throw-away container prints what the package databases and the metadata of Python packages say;
the package managers themselves are not started, but for rpm. Measured on a base of 2.3 GB with torch (two cores,
Docker 20.10): this command 0.4 s; `dpkg-query -W; pip list`, which sees one Python environment, 0.5–0.7 s; reading
site-packages by the engine's archive endpoint 3.5–4.1 s; reading the whole image as an archive 5–12 s.

An image in which the command cannot run (no shell, no `find`, another machine's programs) is read as an archive: images
without a shell are small. rpm's database is not read from there: rpm packages of an image without `rpm` are not seen.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from console.base.checks import run_once, throwaway_container
from console.engine import engine_errors
from console.errors import EngineError

if TYPE_CHECKING:
    from docker import APIClient

    from console.model import Stream

_TIMEOUT_S = 60.0
_LARGEST_BYTES = 64 * 1024 * 1024
_HEAD_BYTES = 64 * 1024
"""Of a Python package's metadata: its name and version stand at the top."""
_BEGIN = "splitdeck: begin"
_END = "splitdeck: end"
_SECTION = re.compile(r"splitdeck: (dpkg|apk|rpm|pip)")
_SCRIPT = f"""\
echo '{_BEGIN}'
PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C
export PATH LC_ALL
for tool in find grep cat; do command -v "$tool" >/dev/null || exit 99; done
for file in /var/lib/dpkg/status /var/lib/dpkg/status.d/*; do
    case "$file" in *.md5sums) continue ;; esac
    if [ -f "$file" ]; then printf '\\nsplitdeck: dpkg\\n'; cat "$file"; fi
done
for file in /lib/apk/db/installed /usr/lib/apk/db/installed; do
    if [ -f "$file" ]; then printf '\\nsplitdeck: apk\\n'; cat "$file"; fi
done
if command -v rpm >/dev/null && {{ [ -d /var/lib/rpm ] || [ -d /usr/lib/sysimage/rpm ]; }}; then
    printf '\\nsplitdeck: rpm\\n'
    rpm -qa --qf '%{{NAME}} %|EPOCH?{{%{{EPOCH}}:}}|%{{VERSION}}-%{{RELEASE}}\\n' || exit 99
fi
printf '\\nsplitdeck: pip\\n'
find / \\( -path /proc -o -path /sys -o -path /dev -o -name _vendor \\) -prune -o -type f \\
    \\( -path '*.dist-info/METADATA' -o -path '*.egg-info/PKG-INFO' -o -path '*/EGG-INFO/PKG-INFO' \\
    -o -name '*.egg-info' \\) -exec grep -H -a -m 2 -E '^(Name|Version):' '{{}}' +
printf '\\n{_END}\\n'
"""
_DPKG_FILE = re.compile(r"var/lib/dpkg/status(?:\.d/(?!.*\.md5sums$)[^/]+)?")
_APK_FILE = re.compile(r"(?:usr/)?lib/apk/db/installed")
_PIP_FILE = re.compile(r"(?:.*\.dist-info/METADATA|.*\.egg-info/PKG-INFO|.*/EGG-INFO/PKG-INFO|.*\.egg-info)")
_PIP_LINE = re.compile(r"(.*?(?:/METADATA|/PKG-INFO|\.egg-info)):(Name|Version):[ \t]*(\S+)\s*")
_KEPT_IMAGES = 50
_FORMAT = 1
"""Of the cache's file; what was written in another one is not looked at."""


class Package(NamedTuple):
    """One package in an image."""

    manager: str
    """`dpkg`, `apk`, `rpm`, `pip`."""
    name: str
    """A Python package's as indexes write it: lower case, `-` for `_` and `.`."""
    version: str


def read_packages(client: APIClient, image_id: str, *, project: str) -> tuple[Package, ...]:
    """What an image holds, sorted; nothing for an image without any package.

    Python packages are those of every environment in the image, wherever it lies, among them pip itself, and those that
    the system's package manager installed. What a package brings along in a `_vendor` folder is a part of that package.
    A version that stands in several environments is told once; several versions of one package are told each.

    Args:
        client: This thread's.
        image_id: The image.
        project: Whose the throw-away container is.

    Raises:
        EngineUnreachableError: If the engine goes away meanwhile.
        EngineError: If it refuses, or if reading takes longer than a minute.
    """
    output = _Output()
    settings = {"User": "0", "WorkingDir": "/", "HostConfig": {"NetworkMode": "none"}}
    words = ("/bin/sh", "-c", _SCRIPT)
    ending = run_once(
        client, image_id, words, project=project, timeout_s=_TIMEOUT_S, heard=output.heard, settings=settings
    )
    text = output.data.decode("utf-8", "replace")
    if not ending.reason and text.startswith(_BEGIN) and text.rstrip().endswith(_END):
        return _sorted(_from_script(text))
    if ending.reason.startswith("took longer"):
        raise EngineError(f"reading the packages of {image_id} {ending.reason}", "is the engine overloaded?")
    return _sorted(_from_archive(client, image_id, project))


class PackageCache:
    """What images hold, by their IDs, in a small file: an image never changes.

    Nothing depends on it: what cannot be read is as good as none, and what cannot be written is kept for this session.

    Args:
        path: The file; its folder is made when something is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[Package, ...]] = {}

    def get(self, image_id: str) -> tuple[Package, ...] | None:
        """What an image holds; None where that is not known."""
        if image_id not in self._known:
            self._known = self._read() | self._known
        return self._known.get(image_id)

    def keep(self, image_id: str, packages: Iterable[Package]) -> tuple[Package, ...]:
        """Keeps what an image holds, and gives it back. Only the newest 50 images stay."""
        kept = tuple(packages)
        known = {**self._read(), **self._known}  # another process may have written meanwhile
        known.pop(image_id, None)
        known[image_id] = kept
        self._known = dict(list(known.items())[-_KEPT_IMAGES:])
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with suppress(OSError, UnicodeEncodeError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft.write_bytes(msgspec.json.encode({"format": _FORMAT, "images": self._known}))
            draft.replace(self._path)
        return kept

    def _read(self) -> dict[str, tuple[Package, ...]]:
        with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
            if kept.format == _FORMAT:
                return kept.images
        return {}


class _Kept(msgspec.Struct):
    """The cache's file."""

    format: int
    images: dict[str, tuple[Package, ...]]


class _Output:
    """What the command prints; more than an image can have to say is cut off."""

    def __init__(self) -> None:
        self.data = bytearray()

    def heard(self, stream: Stream, data: bytes) -> None:
        if stream == "stdout" and len(self.data) < _LARGEST_BYTES:
            self.data += data


def _sorted(packages: Iterable[Package]) -> tuple[Package, ...]:
    return tuple(sorted({one for one in packages if one.name and one.version}))


def _from_script(text: str) -> Iterator[Package]:
    """The packages in the command's output."""
    section = ""
    lines: list[str] = []
    for line in (*text.split("\n"), _END):
        heading = _SECTION.fullmatch(line)
        if heading is None and line != _END:
            lines.append(line)
            continue
        if section == "dpkg":
            yield from _from_dpkg(lines)
        elif section == "apk":
            yield from _from_apk(lines)
        elif section == "rpm":
            yield from _from_rpm(lines)
        elif section == "pip":
            yield from _from_pip(lines)
        section, lines = heading[1] if heading else "", []


def _from_dpkg(lines: Iterable[str]) -> Iterator[Package]:
    """Of dpkg's status file; what was removed and left only its settings does not count (deb822(5))."""
    for fields in _paragraphs(lines, ": "):
        if fields.get("Status", "install ok installed").endswith(" installed"):
            yield Package("dpkg", fields.get("Package", ""), fields.get("Version", ""))


def _from_apk(lines: Iterable[str]) -> Iterator[Package]:
    """Of apk's database: `P:` is a name, `V:` a version."""
    for fields in _paragraphs(lines, ":"):
        yield Package("apk", fields.get("P", ""), fields.get("V", ""))


def _from_rpm(lines: Iterable[str]) -> Iterator[Package]:
    for line in lines:
        name, _, version = line.partition(" ")
        if name != "gpg-pubkey":  # a key that somebody trusts
            yield Package("rpm", name, version)


def _from_pip(lines: Iterable[str]) -> Iterator[Package]:
    """Of `file:Name: …` and `file:Version: …`."""
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        if match := _PIP_LINE.fullmatch(line):
            found.setdefault(match[1], {}).setdefault(match[2], match[3])
    for fields in found.values():
        yield _python_package(fields)


def _python_package(fields: dict[str, str]) -> Package:
    name = re.sub(r"[-_.]+", "-", fields.get("Name", "")).lower()  # PEP 503
    return Package("pip", name, fields.get("Version", ""))


def _paragraphs(lines: Iterable[str], separator: str) -> Iterator[dict[str, str]]:
    """`key<separator>value` lines, an empty line between two paragraphs; the first value of a key counts."""
    fields: dict[str, str] = {}
    for line in (*lines, ""):
        if not line.strip():
            if fields:
                yield fields
            fields = {}
            continue
        key, found, value = line.partition(separator)
        if found and not key[0].isspace():
            fields.setdefault(key, value.strip())


def _from_archive(client: APIClient, image_id: str, project: str) -> Iterator[Package]:
    """The packages of an image in which nothing is run: its container is made, read as one archive, and removed."""
    with (
        throwaway_container(client, image_id, ("/none",), project=project) as container,
        engine_errors(f"reading the packages of {image_id}"),
    ):
        stream = cast("IO[bytes]", io.BufferedReader(_Readable(client.export(container)), _HEAD_BYTES * 16))
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    cast("Any", archive).members.clear()  # the tarfile module would keep them all
                    yield from _from_member(archive, member)
        except tarfile.TarError as error:
            raise EngineError(f"reading the packages of {image_id}: a broken archive ({error})") from error


def _from_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[Package]:
    path = member.name.removeprefix("./").lstrip("/")
    if not member.isfile():
        return

    def lines(limit: int = _LARGEST_BYTES) -> list[str]:
        content = archive.extractfile(member)
        return content.read(limit).decode("utf-8", "replace").split("\n") if content else []

    if _DPKG_FILE.fullmatch(path):
        yield from _from_dpkg(lines())
    elif _APK_FILE.fullmatch(path):
        yield from _from_apk(lines())
    elif _PIP_FILE.fullmatch(path) and "_vendor" not in path.split("/"):
        yield _python_package(next(_paragraphs(lines(_HEAD_BYTES), ": "), {}))


class _Readable(io.RawIOBase):
    """Chunks as they come, as a file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
