"""The history: every measured build of a project in one SQLite file, written by any number of processes at once.

The file lies in the user's state directory. It is never worth stopping for: one that cannot be used (torn, another
program's, a newer splitdeck's, unreadable) is kept aside as `….broken-<time>` and a new one begun; where nothing can be
written, old samples are still read, or the session keeps its own in memory. `History.notice` says so.

A sample's steps are read and written whole, so they are one compressed column; what is asked for in bulk is in plain
columns with indexes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs

from console.errors import SplitdeckError
from console.format import printable
from console.measurements import Sample
from console.model import BuildNumber, BuildStatus, Scenario, Step, StepKind, StepStatus, Target

STATE_DIR_VARIABLE = "SPLITDECK_STATE_DIR"
"""Environment variable that moves the history elsewhere."""
BUSY_TIMEOUT_S = 5.0
_APPLICATION_ID = 0x73706C64  # "spld", in the file's header: tells our file from another program's

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE sample (
            id INTEGER PRIMARY KEY,
            target TEXT NOT NULL, scenario TEXT NOT NULL, started_at REAL NOT NULL, duration_ms REAL NOT NULL,
            status TEXT NOT NULL, engine TEXT NOT NULL, machine TEXT NOT NULL, context_ms REAL NOT NULL,
            context_files INTEGER NOT NULL, context_bytes INTEGER NOT NULL, context_digest TEXT NOT NULL,
            image_id TEXT NOT NULL, image_bytes INTEGER NOT NULL, base_id TEXT NOT NULL, no_cache INTEGER NOT NULL,
            alongside INTEGER NOT NULL, reason TEXT NOT NULL, save_to_ready_ms REAL, steps BLOB NOT NULL)""",
        """CREATE INDEX comparable ON sample (target, scenario, engine, machine, started_at)
            WHERE status = 'ok' AND alongside = 0""",
        "CREATE INDEX succeeded ON sample (target, started_at, engine, machine) WHERE status = 'ok'",
        "CREATE INDEX by_time ON sample (started_at)",
    ),
)
"""What leads from schema version i to i + 1 (`PRAGMA user_version`). Appended to, never edited."""

_COLUMNS = tuple(item.name for item in fields(Sample))
_STEP_FIELDS = tuple(item.name for item in fields(Step))
_ALL = ", ".join(_COLUMNS)
_RECENT = f"""SELECT {_ALL} FROM sample WHERE status = 'ok' AND alongside = 0
    AND target = ? AND scenario = ? AND engine = ? AND machine = ? ORDER BY started_at DESC LIMIT ?"""
_LAST = f"""SELECT {_ALL} FROM sample WHERE status = 'ok' AND target = :target
    AND (:engine = '' OR engine = :engine) AND (:machine = '' OR machine = :machine) ORDER BY started_at DESC LIMIT 1"""
_SINCE = f"SELECT {', '.join(_COLUMNS[:-1])} FROM sample WHERE started_at >= ? ORDER BY started_at"
_ADD = f"INSERT INTO sample ({_ALL}) VALUES ({', '.join('?' * len(_COLUMNS))})"


class HistoryError(SplitdeckError):
    """The history could not be read or written. Building goes on without it; say it once."""


class _UnusableFileError(Exception):
    """The file is not a history that this version can use; the text says why."""


def history_path(project: str, config_path: Path) -> Path:
    """The history of one project, in `$SPLITDECK_STATE_DIR` or else in the user's state directory of this system.

    Two checkouts of one project have two, as they may build different things.
    """
    chosen = os.environ.get(STATE_DIR_VARIABLE)
    folder = Path(chosen).expanduser().absolute() if chosen else platformdirs.user_state_path("splitdeck")
    return folder / f"{project}-{hashlib.sha256(os.fsencode(config_path.resolve())).hexdigest()[:8]}.db"


class History:
    """One open history. Synchronous; for one thread at a time.

    Every method but `open` and `close` raises `HistoryError` where the file cannot be read or written (disk full,
    read-only, locked for longer than the busy timeout).
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, notice: str, *, writable: bool) -> None:
        self.path = path
        self.notice = notice
        """What the user should know about the state of the file; empty when all is well."""
        self._connection = connection
        self._writable = writable

    @classmethod
    def open(cls, path: Path) -> History:
        """Opens a history, making it and its folder where missing. Never raises; see `notice`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _alone(path.parent):
                connection, notice = _open_or_replace(path)
            return cls(path, connection, notice, writable=True)
        except (OSError, sqlite3.Error) as error:
            trouble = f"history {path}: {_reason(error)}"
        try:  # without its lock and journal files, which cannot be made where nothing can be written
            connection = _connect(f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1", uri=True)
            return cls(path, connection, f"{trouble}; new measurements are not kept", writable=False)
        except (sqlite3.Error, _UnusableFileError):
            connection = _connect(":memory:")
            return cls(path, connection, f"{trouble}; measurements are kept for this session only", writable=False)

    def add(self, sample: Sample) -> int:
        """Keeps a sample; returns its number in the file."""
        values = {name: getattr(sample, name) for name in _COLUMNS}
        values |= {"steps": _pack(sample.steps), "reason": printable(sample.reason)}
        with self._reported("a measurement cannot be kept"):
            number = self._connection.execute(_ADD, tuple(values.values())).lastrowid
        return number or 0

    def recent(self, target: Target, scenario: Scenario, engine: str, machine: str, limit: int = 30) -> list[Sample]:
        """The newest comparable samples, newest last: successful builds that ran alone."""
        return self._query(_RECENT, (target, scenario, engine, machine, limit))[::-1]

    def last(self, target: Target, engine: str = "", machine: str = "") -> Sample | None:
        """The newest successful build of a target, on one engine and machine if named."""
        found = self._query(_LAST, {"target": target, "engine": engine, "machine": machine})
        return found[0] if found else None

    def since(self, at: float) -> list[Sample]:
        """Every build, of any outcome, begun at a moment (seconds since 1970) or later, oldest first, without steps."""
        return self._query(_SINCE, (at,))

    def next_build_number(self) -> BuildNumber:
        """One more than the builds kept so far, so that numbers go on between sessions."""
        with self._reported("build numbers begin anew"):
            (last,) = self._connection.execute("SELECT coalesce(max(id), 0) FROM sample").fetchone()
        return int(last) + 1

    def close(self) -> None:
        """Ends the use of the file; more than once does no harm."""
        self._connection.close()

    def _query(self, sql: str, arguments: Sequence[Any] | dict[str, Any]) -> list[Sample]:
        with self._reported("earlier measurements cannot be read"):
            rows = self._connection.execute(sql, arguments).fetchall()
        return [sample for sample in map(_sample, rows) if sample is not None]

    @contextmanager
    def _reported(self, loss: str) -> Iterator[None]:
        """Turns SQLite's errors into ours; damage found only now is dealt with as `open` does."""
        try:
            yield
        except sqlite3.Error as error:
            hint = "check free space and permissions of the folder; building goes on without it"
            if self._writable and type(error) is sqlite3.DatabaseError:  # damaged; subclasses mean other things
                self._connection.close()
                with suppress(OSError, sqlite3.Error), _alone(self.path.parent):
                    self._connection, self.notice = _open_or_replace(self.path, thorough=True)
                hint = self.notice or hint
            raise HistoryError(f"history {self.path}: {error}: {loss}", hint) from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from creating, migrating or replacing a history in the folder at the same time."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems cannot lock; SQLite's own locks still hold there
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _open_or_replace(path: Path, *, thorough: bool = False) -> tuple[sqlite3.Connection, str]:
    """A connection to a usable file at `path`, and what had to be done for it. To be called `_alone`.

    Raises:
        OSError, sqlite3.OperationalError: If the surroundings are to blame (permissions, space, locks), not the file.
    """
    try:
        _check_kind(path)
        return _connect(str(path), thorough=thorough), ""
    except sqlite3.OperationalError:
        raise
    except (sqlite3.DatabaseError, _UnusableFileError, PermissionError) as error:
        reason = _reason(error)
    aside = _set_aside(path)
    return _connect(str(path)), f"history {path}: {reason}; kept as {aside.name}, a new history begins"


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _set_aside(path: Path) -> Path:
    stamp = datetime.now(tz=timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):  # left behind, they would be taken for parts of the new file
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _connect(address: str, *, uri: bool = False, thorough: bool = False) -> sqlite3.Connection:
    """Opens a file, checks it (`thorough`: all of it, seconds for a large one) and brings it to the present schema."""
    connection = sqlite3.connect(address, BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, uri=uri)
    with ExitStack() as undo:
        undo.callback(connection.close)
        _check_owner(connection)
        if not uri:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _migrate(connection)
        if not {row[1] for row in connection.execute("PRAGMA table_info(sample)")}.issuperset(_COLUMNS):
            raise _UnusableFileError("lacks columns of its version")
        if thorough and connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise _UnusableFileError("damaged")
        undo.pop_all()
    return connection


def _check_kind(path: Path) -> None:
    """Raises what makes the path itself unusable; one that does not exist yet is fine."""
    if path.exists():
        if not path.is_file():
            raise _UnusableFileError("not a file")
        path.open("rb").close()


def _check_owner(connection: sqlite3.Connection) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    version = _version(connection)
    if (tables or application or version) and application != _APPLICATION_ID:
        raise _UnusableFileError("belongs to another program")
    if version > len(_MIGRATIONS):
        raise _UnusableFileError(f"written by a newer splitdeck (schema {version}, known up to {len(_MIGRATIONS)})")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings the schema up to date, all of it or nothing: whoever closes the connection on an error rolls back."""
    if _version(connection) == len(_MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for migration in _MIGRATIONS[_version(connection) :]:  # asks again: another process may have done it in between
        for statement in migration:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
    connection.execute("COMMIT")


def _sample(row: Sequence[Any]) -> Sample | None:
    """A row as a sample; None for one that makes no sense to this version."""
    values = dict(zip(_COLUMNS, row, strict=False))
    try:
        values["target"], values["status"] = Target(values["target"]), BuildStatus(values["status"])
        values["scenario"] = Scenario(values["scenario"])
        values["no_cache"], values["alongside"] = bool(values["no_cache"]), bool(values["alongside"])
        values["steps"] = _unpack(values["steps"]) if "steps" in values else ()
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error):
        return None
    return Sample(**values)


def _pack(steps: Sequence[Step]) -> bytes:
    """The field names once, then one row per step."""
    table = [_STEP_FIELDS, *([getattr(step, name) for name in _STEP_FIELDS] for step in steps)]
    return zlib.compress(json.dumps(table, separators=(",", ":")).encode(), 1)


@lru_cache(256)  # the panel asks for mostly the same samples after every build
def _unpack(packed: bytes) -> tuple[Step, ...]:
    """The steps; fields that this version does not know are left out, those that it misses get their default."""
    names, *rows = json.loads(zlib.decompress(packed))
    unknown = set(names) - set(_STEP_FIELDS)
    steps = []
    for row in rows:
        values = dict(zip(names, row, strict=True))
        for name in unknown:
            del values[name]
        values["kind"], values["status"] = StepKind(values["kind"]), StepStatus(values["status"])
        values["intervals"] = tuple(map(tuple, values["intervals"]))
        steps.append(Step(**values))
    return tuple(steps)
