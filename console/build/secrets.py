"""Build secrets: read where they lie, and kept out of everything that people see."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from console.build.request import SecretSource
from console.errors import BuildError

LARGEST_BYTES = 500 * 1024
"""BuildKit takes no larger ones (session/secrets/secretsprovider)."""

_SHORTEST = 4
_SHORTEST_PART = 8
"""Shorter texts are no secrets, nor are shorter parts of one: hiding every `1` would hide the output."""
_HIDDEN = "***"


def read_secret(name: str, source: SecretSource) -> bytes:
    """A secret's value as it is now.

    Raises:
        BuildError: If it is not there or too large; names where it was looked for, never what was found.
    """
    if source.env:
        value = os.environb.get(os.fsencode(source.env))
        if value is None:
            hint = f"export {source.env}, or take another source in config.toml"
            raise BuildError(f"build secret {name}: the variable {source.env} is not set", hint)
    else:
        try:
            value = Path(source.file).read_bytes()
        except OSError as error:
            hint = "check [build.secrets] in config.toml"
            raise BuildError(f"build secret {name}: cannot read {source.file}: {error.strerror}", hint) from error
    if len(value) > LARGEST_BYTES:
        raise BuildError(f"build secret {name} has {len(value)} bytes; builders take no more than {LARGEST_BYTES}")
    return value


def redactor(secrets: Mapping[str, SecretSource]) -> Callable[[str], str]:
    """A function that takes the secrets out of a text: whole, in lines, and as base64 or percent-encoded.

    What a step does to a secret beyond that (reverse it, cut it) cannot be known.

    Raises:
        BuildError: If one cannot be read.
    """
    hidden: set[str] = set()
    for name, source in secrets.items():
        value = read_secret(name, source)
        whole = {text for text in (value, value.strip()) if len(text) >= _SHORTEST}
        for text in whole | {part for part in _parts(value) if len(part) >= _SHORTEST_PART}:
            encoded = base64.b64encode(text).decode().rstrip("=")
            hidden |= {text.decode("utf-8", "replace"), encoded, quote(text), quote(text, safe="")}
    if not hidden:
        return str
    longest_first = sorted(hidden, key=len, reverse=True)

    def redact(text: str) -> str:
        for secret in longest_first:
            if secret in text:
                text = text.replace(secret, _HIDDEN)
        return text

    return redact


def _parts(value: bytes) -> Iterator[bytes]:
    """A secret's lines, and what stands behind a `=` or `:` in them, as in a file of credentials."""
    for line in value.splitlines():
        yield line.strip()
        for sign in (b"=", b":"):
            yield line.partition(sign)[2].strip().strip(b"\"'")
