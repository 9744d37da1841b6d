"""Build secrets: read where they lie, and kept out of everything that people see."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from stat import S_ISREG
from urllib.parse import quote

from console.build.request import SecretSource
from console.build.trace.lines import LONGEST_LINE_BYTES
from console.errors import BuildError

LARGEST_BYTES = 500 * 1024
"""BuildKit takes no larger ones (session/secrets/secretsprovider)."""

_SHORTEST = 4
_SHORTEST_PART = 8
"""Shorter texts are no secrets, nor are shorter parts of a line: hiding every `1` would hide the output."""
_HIDDEN = "***"

_TOKEN = re.compile(r"[^\s\"',;{}\[\]=:@]+")
_QUOTED = re.compile(r"[\"']([^\"'\\]*(?:\\.[^\"'\\]*)*)[\"']")
_AFTER_KEY = re.compile(r"[\"']?[ \t]*[=:]")
_VALUE = re.compile(r"[=:][ \t]*[\"']?\Z")
_CREDENTIAL = re.compile(
    r"(?i:pass|pwd|secret|token|auth|credential|private|api[-_]?key)[\w.-]*[\"']?(?:[ \t]*[=:][ \t]*|[ \t]+)"
    r"(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|[\"']?([^\s\"',;{}\[\]]+))"
)
_IN_URL = re.compile(r"//([^\s/@:\"']*)(?::([^\s/@\"']*))?@")
_SWITCHES = frozenset({"true", "false", "null", "none", "yes", "basic", "bearer", "token"})
_KEY = re.compile(r"[A-Za-z_][A-Za-z_.-]*")
_WORD = re.compile(r"-*(?:[a-z]{1,15}|[A-Z]{1,12})-*")
_HOST_AND_PATH = re.compile(
    r"(?:(?:[a-z][a-z0-9+.-]*:)?//)?(?:(?:[a-z0-9-]+\.)+[a-z]{2,8}|localhost)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]*)*"
)
_OPAQUE = re.compile(r"(?=[a-z0-9-]*[0-9])(?=[0-9-]*[a-z])[a-z0-9-]{8,}|(?=.*[A-Z])[A-Za-z0-9_~-]{8,}|.{24,}")
"""A part of a URL that may well be a key: letters and digits mixed, capitals, or just long."""


def read_secret(name: str, source: SecretSource) -> bytes:
    """A secret's value as it is now. Never blocks on what is no regular file.

    Raises:
        BuildError: If it is not there, no regular file, or too large; names where it was looked for, never what was
            found.
    """
    if source.env:
        value = os.environb.get(os.fsencode(source.env))
        if value is None:
            hint = f"export {source.env}, or take another source in config.toml"
            raise BuildError(f"build secret {name}: the variable {source.env} is not set", hint)
        size = len(value)
    else:
        try:
            value, size = _read(name, source.file)
        except OSError as error:
            hint = "check [build.secrets] in config.toml"
            raise BuildError(f"build secret {name}: cannot read {source.file}: {error.strerror}", hint) from error
    if size > LARGEST_BYTES:
        raise BuildError(f"build secret {name} has {size} bytes; builders take no more than {LARGEST_BYTES}")
    return value


def _read(name: str, path: str) -> tuple[bytes, int]:
    """A file's content as far as a secret may go, and its size."""
    # a FIFO that nobody writes to would hold the build, and no cancel could reach it
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not S_ISREG(status.st_mode):
            hint = "a pipe, as of <(command), can be read only once: put the secret into a file or a variable"
            raise BuildError(f"build secret {name}: {path} is no regular file", hint)
        value = file.read(LARGEST_BYTES + 1)
    return value, max(len(value), status.st_size)


def redactor(secrets: Mapping[str, SecretSource]) -> Callable[[str], str]:
    """A function that takes the secrets out of a text.

    Hidden are, as they are, as base64, percent-encoded, and quoted for a shell or for JSON:

    - each secret as a whole, and every line of it, from 4 bytes on;
    - what stands behind a name such as `password` or `token`, and the password in a URL, from 4 bytes on;
    - any other part of a line from 8 bytes on: what is quoted, what stands behind a `=` or `:`, and what is left when
      the line is split at white space, quotes and `,;{}[]=:@`.

    Parts of a line that are plainly no secret stay readable, so that a file of settings does not blacken the output:
    hosts and URLs without credentials or opaque parts, names of settings (letters before a `=` or `:`), single words
    in one case that are no value, `true`, `false` and the like. In doubt a part is hidden. What a step does to a secret
    beyond that (reverse it, cut it) cannot be known.

    Raises:
        BuildError: If one cannot be read.
    """
    hidden: set[str] = set()
    for name, source in secrets.items():
        for part in _parts(read_secret(name, source)):
            hidden.update(_forms(part))
    hidden.discard("")
    if not hidden:
        return str
    return _Hiding(hidden).redact


class RedactedLines:
    """Takes secrets out of one stream's lines, also where a long line is cut into pieces in the middle of a secret.

    Args:
        redact: Takes them out of one text.
    """

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact
        self._held = ""
        """The last piece of a line that goes on, as it came."""

    def take(self, line: str) -> list[str]:
        """Takes a line or a piece of one; gives what can be shown now. A piece is held until the next has come."""
        shown = []
        if self._held:
            text = self._held + line
            cut = self._cut(text, len(self._held))
            shown = [self._redact(text[:cut])] if cut else []
            line, self._held = text[cut:], ""
        if len(line.encode("utf-8", "replace")) > LONGEST_LINE_BYTES - 4:  # a cut spares up to three bytes
            self._held = line
            return shown
        return [*shown, self._redact(line)]

    def end(self) -> list[str]:
        """The piece that was held, if any."""
        held, self._held = self._held, ""
        return [self._redact(held)] if held else []

    def _cut(self, text: str, wanted: int) -> int:
        """Where to cut a text so that no secret is cut: as it is wanted, or before that."""
        whole, cut, step = self._redact(text), wanted, 1
        while cut > 0 and self._redact(text[:cut]) + self._redact(text[cut:]) != whole:
            cut, step = cut - step, step * 2
        return max(cut, 0)


class _Hiding:
    """Finds any of many texts in one pass.

    Args:
        hidden: The texts; none is empty.
    """

    def __init__(self, hidden: Iterable[str]) -> None:
        longest_first = sorted(hidden, key=len, reverse=True)
        self._size = len(longest_first[-1])
        self._by_start: dict[str, list[str]] = {}
        for text in longest_first:
            self._by_start.setdefault(text[: self._size], []).append(text)

    def redact(self, text: str) -> str:
        shown: list[str] = []
        end = 0
        """Of what is shown or hidden already."""
        size, by_start = self._size, self._by_start
        for start in range(len(text) - size + 1):
            candidates = by_start.get(text[start : start + size])
            found = next((one for one in candidates if text.startswith(one, start)), None) if candidates else None
            if found is None:
                continue
            if start >= end:
                shown += [text[end:start], _HIDDEN]
            end = max(end, start + len(found))
        return "".join([*shown, text[end:]]) if shown else text


def _parts(value: bytes) -> Iterator[bytes]:
    """What of a secret is to be hidden; see `redactor`."""
    lines = [line.strip() for line in value.splitlines()]
    yield from (text for text in (value, value.strip(), *lines) if len(text) >= _SHORTEST and not _is_switch(text))
    for line in lines:
        text = line.decode("utf-8", "surrogateescape")
        for part in _parts_of_line(text):
            yield part.encode("utf-8", "surrogateescape")


def _parts_of_line(line: str) -> Iterator[str]:
    sure = [found[1] or found[2] or found[3] or "" for found in _CREDENTIAL.finditer(line)]
    sure += [found[2] or "" for found in _IN_URL.finditer(line)]
    yield from (part for part in sure if len(part) >= _SHORTEST and part.lower() not in _SWITCHES)
    quoted = (found[1] for found in _QUOTED.finditer(line) if not _AFTER_KEY.match(line, found.end(1)))
    behind = (line.partition(sign)[2].strip().strip("\"'") for sign in "=:")
    users = (found[1] for found in _IN_URL.finditer(line))
    for part in (*quoted, *behind, *users):
        if len(part) >= _SHORTEST_PART and not _is_place(part):
            yield part
    for found in _TOKEN.finditer(line):
        token = found[0].strip("/")
        if "/" in token:  # a key may stand in a URL's path, and be shown without the rest of it
            yield from (part for part in re.split(r"[/.]+", token) if _OPAQUE.fullmatch(part))
        if len(token) < _SHORTEST_PART or _is_place(token):
            continue
        is_key = _AFTER_KEY.match(line, found.end()) and _KEY.fullmatch(token)
        is_word = _WORD.fullmatch(token) and not _VALUE.search(line, 0, found.start())
        if not is_key and not is_word:
            yield token


def _is_switch(text: bytes) -> bool:
    return text.lower() in {b"true", b"false", b"null"}


def _is_place(text: str) -> bool:
    """Whether it is a host's name or a URL in which nothing can be a credential."""
    if not _HOST_AND_PATH.fullmatch(text):
        return False
    return not any(_OPAQUE.fullmatch(part) for part in re.split(r"[/.:]+", text))


def _forms(part: bytes) -> Iterator[str]:
    """How a text may be written."""
    text = part.decode("utf-8", "replace")
    yield text
    yield base64.b64encode(part).decode().rstrip("=")
    yield from (quote(part), quote(part, safe=""))
    yield from (shlex.quote(text), shlex.quote(text)[1:-1] if "'" in text else text)
    yield text.replace("'", "'\\''")  # as bash shows it with `set -x`
    yield text.replace("\\", "\\\\").replace("'", "\\'")  # within $'…'
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
