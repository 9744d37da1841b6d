"""The history's file: opening it whatever state it is in, and bringing it to the present schema.

One that cannot be used (torn, another program's, unreadable) is kept aside as `….broken-<time>`; one of a newer
splitdeck stays where it is.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from console.history.rows import COLUMNS
from console.history.schema import MIGRATIONS

BUSY_TIMEOUT_S = 5.0
_APPLICATION_ID = 0x73706C64  # "spld", in the file's header: tells our file from another program's


class UnusableFileError(Exception):
    """The file is not a history that this version can use; the text says why."""


class NewerFileError(UnusableFileError):
    """A newer splitdeck has written the file, and may be at it now: it is left where it is."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from creating, migrating or replacing a history in the folder at the same time."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot lock; SQLite's own locks still hold there
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def open_or_replace(path: Path, *, thorough: bool = False) -> tuple[sqlite3.Connection, str]:
    """A connection to a usable file at `path`, and what had to be done for it. To be called `alone`.

    Raises:
        OSError, sqlite3.OperationalError: If the surroundings are to blame (permissions, space, locks), not the file.
        NewerFileError: If a newer splitdeck uses it.
    """
    try:
        _check_kind(path)
        return connect(str(path), thorough=thorough), ""
    except (sqlite3.OperationalError, NewerFileError):
        raise
    except (sqlite3.DatabaseError, UnusableFileError, PermissionError) as error:
        reason = reason_of(error)
    aside = _set_aside(path)
    return connect(str(path)), f"history {path}: {reason}; kept as {aside.name}, a new history begins"


def reason_of(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _set_aside(path: Path) -> Path:
    stamp = datetime.now(tz=timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):  # left behind, they would be taken for parts of the new file
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def connect(address: str, *, uri: bool = False, thorough: bool = False) -> sqlite3.Connection:
    """Opens a file, checks it (`thorough`: all of it, seconds for a large one) and brings it to the present schema."""
    connection = sqlite3.connect(address, BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, uri=uri)
    with ExitStack() as undo:
        undo.callback(connection.close)
        _check_owner(connection)
        if not uri:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _migrate(connection)
        if not {row[1] for row in connection.execute("PRAGMA table_info(sample)")}.issuperset(COLUMNS):
            raise UnusableFileError("lacks columns of its version")
        if thorough and connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise UnusableFileError("damaged")
        undo.pop_all()
    return connection


def _check_kind(path: Path) -> None:
    """Raises what makes the path itself unusable; one that does not exist yet is fine."""
    if path.exists():
        if not path.is_file():
            raise UnusableFileError("not a file")
        path.open("rb").close()


def _check_owner(connection: sqlite3.Connection) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    version = _version(connection)
    if (tables or application or version) and application != _APPLICATION_ID:
        raise UnusableFileError("belongs to another program")
    if version > len(MIGRATIONS):
        raise NewerFileError(f"written by a newer splitdeck (schema {version}, known up to {len(MIGRATIONS)})")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings the schema up to date, all of it or nothing: whoever closes the connection on an error rolls back."""
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for migration in MIGRATIONS[_version(connection) :]:  # asks again: another process may have done it in between
        for statement in migration:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")
