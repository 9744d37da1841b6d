"""The history: every measured build of a project in one SQLite file, written by any number of processes at once.

The file lies in the user's state directory. It is never worth stopping for: one that cannot be used is kept aside and a
new one begun (see `history.file`); where nothing can be written, old samples are still read, or the session keeps its
own in memory. `History.notice` says so.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platformdirs

from console.errors import SplitdeckError
from console.history.file import NewerFileError, UnusableFileError, alone, connect, open_or_replace, reason_of
from console.history.rows import COLUMNS, DETAILS, row_of, sample_of
from console.measurements import BuildQuery, PullSample, Sample, Trigger
from console.model import BuildNumber, Scenario, Target

STATE_DIR_VARIABLE = "SPLITDECK_STATE_DIR"
"""Environment variable that moves the history elsewhere."""

_ALL = ", ".join(f'"{name}"' for name in ("id", *COLUMNS))
_BOTH = ", ".join(f's."{name}"' for name in ("id", *COLUMNS)) + ", " + ", ".join(f"d.{name}" for name in DETAILS)
_KIND = "target = ? AND scenario = ? AND engine = ? AND machine = ?"
_COMPARABLE = "status = 'ok' AND disturbed = ''"
_RECENT = f"SELECT {_ALL} FROM sample WHERE {_COMPARABLE} AND {_KIND} ORDER BY started_at DESC LIMIT ?"
_TIMES = f"SELECT duration_ms FROM sample WHERE {_COMPARABLE} AND {_KIND} ORDER BY started_at DESC LIMIT ?"
_NEWEST = f"""SELECT {_ALL} FROM sample WHERE status = 'ok' AND target = :target
    AND (:engine = '' OR engine = :engine) AND (:machine = '' OR machine = :machine)
    ORDER BY started_at DESC LIMIT :limit"""
_PREVIOUS = f"""SELECT {_ALL} FROM sample WHERE status = 'ok' AND target = :target AND engine = :engine
    AND machine = :machine AND started_at < :started_at AND (:compared OR "trigger" <> 'compare' OR base_id = :base_id)
    ORDER BY started_at DESC LIMIT 1"""
_DETAILED = f"SELECT {_BOTH} FROM sample s JOIN detail d USING (id) WHERE s.id = ?"
_BASES = f"""SELECT {_ALL} FROM sample INDEXED BY bases
    WHERE target = 'base' AND status = 'ok' AND image_id = ? ORDER BY id LIMIT 1"""
_ACCOUNT = """SELECT target, scenario, status = 'ok' AND disturbed = '', count(*), sum(duration_ms) FROM sample
    WHERE target <> 'legacy' AND "trigger" <> 'compare' AND engine = ? AND machine = ? AND {} GROUP BY 1, 2, 3"""
_ACCOUNT_SINCE = _ACCOUNT.format("started_at >= ?").replace("FROM sample", "FROM sample INDEXED BY accounted")
_ACCOUNT_AFTER = _ACCOUNT.format("id > ? AND id <= ?")
_ELSEWHERE = f"""SELECT target, scenario, engine, machine, count(*), max(started_at) FROM sample WHERE {_COMPARABLE}
    AND target <> 'base' GROUP BY target, scenario, engine, machine ORDER BY 6 DESC"""
_ADD = f"INSERT INTO sample ({_ALL}) VALUES (NULL{', ?' * len(COLUMNS)})"
_ADD_DETAIL = f"INSERT INTO detail (id, {', '.join(DETAILS)}) VALUES (?{', ?' * len(DETAILS)})"
_PULL_COLUMNS = tuple(item.name for item in fields(PullSample))
_ADD_PULL = f"INSERT INTO pull ({', '.join(_PULL_COLUMNS)}) VALUES ({', '.join('?' * len(_PULL_COLUMNS))})"
_PULLED = (
    "SELECT count(*), coalesce(sum(duration_ms), 0) FROM pull WHERE engine = ? AND machine = ? AND started_at >= ?"
)
_PULLS = f"""SELECT {", ".join(_PULL_COLUMNS)} FROM pull WHERE engine = ? AND machine = ?
    ORDER BY started_at DESC LIMIT ?"""
SORTABLE = frozenset(COLUMNS) - {"image_id", "base_id", "context_digest", "recipe"}
"""What builds can be listed by."""


class HistoryError(SplitdeckError):
    """The history could not be read or written. Building goes on without it; say it once."""


@dataclass(frozen=True, slots=True)
class Account:
    """Builds of one kind that were made to be used, added up."""

    target: Target
    scenario: Scenario
    comparable: bool
    """They succeeded, and ran alone."""
    builds: int
    total_ms: float

    def plus(self, other: Account) -> Account:
        """Both, of one kind."""
        return replace(self, builds=self.builds + other.builds, total_ms=self.total_ms + other.total_ms)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Comparable builds of one kind, wherever they were made."""

    target: Target
    scenario: Scenario
    engine: str
    machine: str
    n: int


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
    read-only, locked for longer than the busy timeout). Lists have no steps, causes and layers: `whole` adds them.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, notice: str, *, writable: bool) -> None:
        self.path = path
        self.notice = notice
        """What the user should know about the state of the file; empty when all is well."""
        self._connection = connection
        self._writable = writable
        self._accounts: dict[tuple[str, str], tuple[int, dict[tuple[Target, Scenario, bool], Account]]] = {}
        """By place: up to which build it was added up, and what that comes to."""
        self._files = 1
        """How many files were used so far: a damaged one makes way for another."""

    @classmethod
    def open(cls, path: Path) -> History:
        """Opens a history, making it and its folder where missing. Never raises; see `notice`."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with alone(path.parent):
                connection, notice = open_or_replace(path)
            return cls(path, connection, notice, writable=True)
        except (OSError, sqlite3.Error, NewerFileError) as error:
            trouble = f"history {path}: {reason_of(error)}"
        try:  # without its lock and journal files, which cannot be made where nothing can be written
            connection = connect(f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1", uri=True)
            return cls(path, connection, f"{trouble}; new measurements are not kept", writable=False)
        except (sqlite3.Error, UnusableFileError):
            connection = connect(":memory:")
            return cls(path, connection, f"{trouble}; measurements are kept for this session only", writable=False)

    def add(self, sample: Sample) -> int:
        """Keeps a sample; returns its number in the file."""
        columns, details = row_of(sample)
        with self._reported("a measurement cannot be kept"), self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            number = connection.execute(_ADD, columns).lastrowid or 0
            connection.execute(_ADD_DETAIL, (number, *details))
        return number

    def served(self, number: int, save_to_ready_ms: float) -> None:
        """Adds to a sample how long it took from the save until its image served."""
        with self._reported("a measurement cannot be kept"):
            self._connection.execute("UPDATE sample SET save_to_ready_ms = ? WHERE id = ?", (save_to_ready_ms, number))

    def add_pull(self, pull: PullSample) -> None:
        """Keeps how long a pull took."""
        with self._reported("a measurement cannot be kept"):
            self._connection.execute(_ADD_PULL, [getattr(pull, name) for name in _PULL_COLUMNS])

    def pulls(self, engine: str, machine: str, limit: int = 30) -> list[PullSample]:
        """The newest pulls, newest last."""
        rows = self._rows(_PULLS, (engine, machine, limit))[::-1]
        return [replace(PullSample(*row), whole=bool(row[_PULL_COLUMNS.index("whole")])) for row in rows]

    def pulled(self, engine: str, machine: str, since: float) -> tuple[int, float]:
        """How many pulls of the base there were since a moment, and what they took in milliseconds."""
        ((count, total_ms),) = self._rows(_PULLED, (engine, machine, since))
        return int(count), float(total_ms)

    def recent(self, target: Target, scenario: Scenario, engine: str, machine: str, limit: int = 30) -> list[Sample]:
        """The newest comparable samples, newest last: successful builds that ran alone."""
        return self._samples(_RECENT, (target, scenario, engine, machine, limit))[::-1]

    def times_ms(self, target: Target, scenario: Scenario, engine: str, machine: str, limit: int = 30) -> list[float]:
        """What the newest comparable samples took, newest first."""
        rows = self._rows(_TIMES, (target, scenario, engine, machine, limit))
        return [row[0] for row in rows]

    def newest(self, target: Target, engine: str = "", machine: str = "", *, limit: int = 1) -> list[Sample]:
        """The newest successful builds of a target, on one engine and machine if named; newest first."""
        return self._samples(_NEWEST, {"target": target, "engine": engine, "machine": machine, "limit": limit})

    def last(self, target: Target, engine: str = "", machine: str = "") -> Sample | None:
        """The newest of them."""
        return next(iter(self.newest(target, engine, machine)), None)

    def previous(self, sample: Sample) -> Sample | None:
        """The newest successful build that tells what changed until this one.

        `splitdeck compare` builds with other dependencies than the user's, too: to a build that was not made by it
        those say nothing.
        """
        asked = {name: getattr(sample, name) for name in ("target", "engine", "machine", "started_at", "base_id")}
        return next(iter(self._samples(_PREVIOUS, {**asked, "compared": sample.trigger is Trigger.COMPARE})), None)

    def base_build(self, image_id: str) -> Sample | None:
        """The build that made a base image; None where it came from elsewhere."""
        found = self._samples(_BASES, (image_id,)) if image_id else []
        return found[0] if found else None

    def account(self, engine: str, machine: str, since: float | None = None) -> list[Account]:
        """What app and base builds took since a moment, but for those that were only made to be measured.

        What was added up from the first build on is remembered, and only newer builds are added to it.
        """
        if since is not None:
            return [_account(row) for row in self._rows(_ACCOUNT_SINCE, (engine, machine, since))]
        counted, known = self._accounts.get((engine, machine), (0, {}))
        (last,) = self._rows("SELECT coalesce(max(id), 0) FROM sample", ())[0]
        for newer in map(_account, self._rows(_ACCOUNT_AFTER, (engine, machine, counted, last))):
            key = (newer.target, newer.scenario, newer.comparable)
            before = known.get(key)
            known[key] = newer if before is None else before.plus(newer)
        self._accounts[engine, machine] = last, known
        return list(known.values())

    def everywhere(self) -> list[Elsewhere]:
        """What was measured of either track on any engine and machine, newest first."""
        return [Elsewhere(Target(row[0]), Scenario(row[1]), *row[2:5]) for row in self._rows(_ELSEWHERE, ())]

    def listed(self, query: BuildQuery) -> tuple[int, list[Sample]]:
        """How many builds there are of the kind that is asked for, and the first of them in the order asked for.

        Raises:
            ValueError: If they cannot be sorted so.
        """
        if query.sort not in SORTABLE:
            raise ValueError(f"builds cannot be sorted by {query.sort}")
        wanted = {"target": query.target, "scenario": query.scenario, "status": query.status}
        chosen = {name: value for name, value in wanted.items() if value is not None}
        where = f" WHERE {' AND '.join(f'{name} = :{name}' for name in chosen)}" if chosen else ""
        (total,) = self._rows(f"SELECT count(*) FROM sample{where}", chosen)[0]
        direction = "DESC" if query.descending else "ASC"
        order = f' ORDER BY "{query.sort}" {direction}, id {direction} LIMIT {query.limit or -1}'
        return int(total), self._samples(f"SELECT {_ALL} FROM sample{where}{order}", chosen)

    def numbered(self, number: int) -> Sample | None:
        """One build with everything that is kept of it; None where there is none of that number."""
        rows = self._rows(_DETAILED, (number,))
        return sample_of(rows[0][: -len(DETAILS)], rows[0][-len(DETAILS) :]) if rows else None

    def whole(self, sample: Sample) -> Sample:
        """A sample with its steps, causes and layers."""
        return self.numbered(sample.number) or sample

    def next_build_number(self) -> BuildNumber:
        """One more than the builds kept so far, so that numbers go on between sessions."""
        (last,) = self._rows("SELECT coalesce(max(id), 0) FROM sample", (), "build numbers begin anew")[0]
        return int(last) + 1

    def written_by_others(self) -> tuple[int, int]:
        """Changes whenever another process has written to the file, or another file has taken its place."""
        (version,) = self._rows("PRAGMA data_version", ())[0]
        return self._files, int(version)

    def close(self) -> None:
        """Ends the use of the file; more than once does no harm."""
        self._connection.close()

    def _samples(self, sql: str, arguments: Sequence[Any] | dict[str, Any]) -> list[Sample]:
        return [sample for sample in map(sample_of, self._rows(sql, arguments)) if sample is not None]

    def _rows(
        self,
        sql: str,
        arguments: Sequence[Any] | dict[str, Any],
        loss: str = "earlier measurements cannot be read",
    ) -> list[Any]:
        with self._reported(loss):
            return self._connection.execute(sql, arguments).fetchall()

    @contextmanager
    def _reported(self, loss: str) -> Iterator[None]:
        """Turns SQLite's errors into ours; damage found only now is dealt with as `open` does."""
        try:
            yield
        except sqlite3.Error as error:
            hint = "check free space and permissions of the folder; building goes on without it"
            if self._writable and type(error) is sqlite3.DatabaseError:  # damaged; subclasses mean other things
                self._connection.close()
                self._files += 1
                self._accounts.clear()
                with suppress(OSError, sqlite3.Error), alone(self.path.parent):
                    self._connection, self.notice = open_or_replace(self.path, thorough=True)
                hint = self.notice or hint
            raise HistoryError(f"history {self.path}: {error}: {loss}", hint) from error


def _account(row: Sequence[Any]) -> Account:
    return Account(Target(row[0]), Scenario(row[1]), bool(row[2]), row[3], row[4])
