"""What the program itself writes to config.toml: the base version that is pinned there.

tomlkit says where the value stands; it is cut out of the text and another put in, so that every other byte stays as it
is: comments, order, spaces, quotes, line ends.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from console.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LATEST = "latest"
_TRIES = 5


def write_base_version(path: Path, version: str) -> bool:
    """Sets `[base] version` in a config.toml; False where that is its value already.

    A key that is missing comes after `dockerfile`. `latest` is what a missing key means, so nothing is written for it;
    a key that is there is set to `latest` and stays, with its comment.

    The file is replaced in one step, through a link to it too; its mode and owner stay. Where the folder takes no new
    file (it is read-only, the file is a mount of its own, it would change its owner), the file itself is written.

    Raises:
        ConfigError: If the file is no valid config.toml at this moment, or cannot be read or written.
    """
    target = Path(os.path.realpath(path))
    for _ in range(_TRIES):
        before = _read(target, path)
        after = _edited(before, version, path)
        if after == before:
            return False
        if _replace(target, before, after, version, path):
            return True
    raise ConfigError(f"{path}: somebody else writes to it all the time", _by_hand(version))


def _read(target: Path, path: Path) -> bytes:
    try:
        return target.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}", "check the path and its permissions") from error


def _edited(content: bytes, version: str, path: Path) -> bytes:
    """The file with another version in it.

    Raises:
        ConfigError: If it is not valid, or so unusual that the place cannot be told for certain.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        text = content.decode("utf-8")
        values = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}", "mend it, then try again; nothing was written") from error
    base = values.get("base")
    if not isinstance(base, dict) or "dockerfile" not in base:
        raise ConfigError(f"{path}: there is no [base] dockerfile", "mend it, then try again; nothing was written")
    if base.get("version", _LATEST) == version:
        return content
    value = str(tomlkit.string(version).as_string())
    try:
        if "version" in base:
            start, end = _place_of(text, "version")
            if text[start] == "'" and text[start : start + 3] != "'''" and "'" not in version:
                value = f"'{version}'"
            edited = text[:start] + value + text[end:]
        else:
            edited = _inserted(text, value)
        wanted = {**values, "base": {**base, "version": version}}
        if tomllib.loads(edited) == wanted:
            return edited.encode("utf-8")
    except (TOMLKitError, ValueError, LookupError):
        pass
    raise ConfigError(f"{path}: cannot tell where [base] version belongs in it", _by_hand(version))


def _place_of(text: str, key: str) -> tuple[int, int]:
    """Where a value of [base] begins and ends: everything before it stays in place when another is put there.

    Raises:
        ValueError: If that cannot be told.
    """
    import tomlkit

    document = tomlkit.parse(text)
    base: Any = document["base"]
    value = str(base[key].as_string())
    mark = "place of the value"
    while mark in text:
        mark += "'"
    base[key] = mark
    start = document.as_string().index(str(tomlkit.string(mark).as_string()))
    end = start + len(value)
    if text[start:end] != value:
        raise ValueError(key)
    return start, end


def _inserted(text: str, value: str) -> str:
    """The text with a version after the Dockerfile of [base], written as that is: on a line of its own, or inline."""
    start, end = _place_of(text, "dockerfile")
    line = text.rfind("\n", 0, start) + 1
    indented_key = text[line:start]
    table_key, _, equals = indented_key.rpartition("dockerfile")
    equals = equals.lstrip("\"'")
    if not table_key.strip(" \t\"'") or table_key.rstrip(" \t\"'").endswith("."):
        table_key = table_key.rstrip("\"'")
        stop = text.find("\n", end)
        if stop >= 0:
            newline = "\r\n" if text[stop - 1 : stop] == "\r" else "\n"
            return f"{text[: stop + 1]}{table_key}version{equals}{value}{newline}{text[stop + 1 :]}"
        newline = "\r\n" if "\r\n" in text else "\n"
        return f"{text}{newline}{table_key}version{equals}{value}"
    return f"{text[:end]}, version{equals}{value}{text[end:]}"


def _replace(target: Path, before: bytes, after: bytes, version: str, path: Path) -> bool:
    """Puts the new content in the place of the old; False where somebody else wrote meanwhile."""
    if not os.access(target, os.W_OK):
        raise ConfigError(f"{path}: it is write-protected", _by_hand(version))
    try:
        draft = _draft(target, after)
    except OSError:
        draft = None
    try:
        if target.read_bytes() != before:
            return False
        if draft is not None:
            with suppress(OSError):  # a file that is a mount of its own cannot be replaced
                draft.replace(target)
                _flush_folder(target.parent)
                return True
        _overwrite(target, after)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error}", _by_hand(version)) from error
    finally:
        if draft is not None:
            draft.unlink(missing_ok=True)
    return True


def _draft(target: Path, content: bytes) -> Path:
    """The new file beside the old one, on the disk, with its mode and owner.

    Raises:
        OSError: If there cannot be such a file.
    """
    old = target.stat()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            new = os.fstat(handle)
            if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
                os.fchown(handle, old.st_uid, old.st_gid)
            shutil.copystat(target, draft)  # extended attributes too; the time of writing comes anew with the content
            os.fchmod(handle, stat.S_IMODE(old.st_mode))
            file.write(content)
            file.flush()
            os.fsync(handle)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _overwrite(target: Path, content: bytes) -> None:
    with target.open("r+b") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # not every file system can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _by_hand(version: str) -> str:
    return f'write version = "{version}" under [base] yourself'
