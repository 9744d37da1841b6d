"""The rows of the comparison panel: which there are, in which order, and which go first where room is short. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from textual.content import Content

from console.format import printable
from console.measurements import Comparison, RacePhase, Verdict
from console.model import Mode, Scenario
from console.state.app_state import AppState
from console.state.words import INEXACT
from console.ui.findings_rows import base_rows, image_row, image_rows, ledger_row, ledger_rows, target_row, target_rows
from console.ui.lines import FAINT, MUTED, fit, limited, text, wrapped
from console.ui.race_rows import race_rows, result_rows, shown_result, title_rows
from console.ui.track_rows import columns_of, head_row, stage_row, telling_stages, total_row, track_rows, weight

ZOOMED = 16
"""From so many rows on a panel has the screen to itself, and tells everything."""
_SHORT = 8
"""Below so many rows a verdict gets one."""
_READABLE = 110
"""Cells of a line of prose; longer ones are hard to read."""

Block = tuple[int, list[Content]]
"""Rows that are shown together or not at all, with their rank: where room is short, the highest goes first."""

_TOTAL, _RACE, _VERDICT, _TRACKS, _TARGETS, _LEDGER, _LEFT_OUT, _HEAD = range(8)
_STAGES = 20
"""The stage that weighs most; each lighter one has a number more."""
_ADVICE, _OTHERS, _IMAGES, _REMARKS, _SPACE = range(1000, 1005)
_SPARE = frozenset({_IMAGES, _REMARKS, _SPACE})
"""What is not worth saying the rest in fewer words for."""


class _Form(IntEnum):
    """How much is told."""

    BRIEF = 0
    """Both tracks on one row."""
    NORMAL = 1
    WHOLE = 2
    """Every word, advice, other scenarios; but one row for targets, account and images."""
    TABLES = 3
    """Those in full as well."""


def compare_rows(state: AppState, now: float, width: int, height: int, *, can_race: bool = True) -> list[Content]:
    """The panel's rows, the least important left out where `height` does not hold them all.

    Args:
        state: What is known.
        now: Seconds since 1970.
        width: In cells.
        height: In rows; from `ZOOMED` on everything is told in full, if that fits.
        can_race: Whether the project has a legacy Dockerfile.
    """
    more, less = (_Form.TABLES, _Form.WHOLE) if height >= ZOOMED else (_Form.NORMAL, _Form.BRIEF)
    panel = _Panel(state, now, width, height, can_race=can_race)
    blocks = panel.blocks(more)
    if sum(len(rows) for rank, rows in blocks if rank not in _SPARE) > height:
        blocks = panel.blocks(less)
    return [row if row.cell_length <= width else fit(row, width) for row in _kept(blocks, height)]


def _kept(blocks: Sequence[Block], height: int) -> list[Content]:
    """The blocks that fit, chosen by rank and shown in order; empty rows only where nothing else is left out."""
    told = [index for index, (rank, _) in enumerate(blocks) if rank != _SPACE]
    kept: set[int] = set()
    room = height
    for index in sorted(told, key=lambda index: (blocks[index][0], index)):
        rows = len(blocks[index][1])
        if rows <= room:
            kept.add(index)
            room -= rows
    if len(kept) == len(told):
        spaces = [index for index, (rank, _) in enumerate(blocks) if rank == _SPACE]
        kept.update(spaces[:room])
    return [row for index in sorted(kept) for row in blocks[index][1]]


class _Panel:
    """What the panel shows at one moment."""

    def __init__(self, state: AppState, now: float, width: int, height: int, *, can_race: bool) -> None:
        self._state = state
        self._now = now
        self._width = width
        self._prose = min(width, _READABLE)
        self._height = height
        self._can_race = can_race
        self._exact = state.builder is None or state.builder.exact
        self._comparison = state.comparison or Comparison(Scenario.CODE_CHANGE)
        self._findings = state.findings

    def blocks(self, form: _Form) -> list[Block]:
        """All rows in their order."""
        comparison = self._comparison
        measured = comparison.legacy is not None or comparison.split is not None
        space: Block = (_SPACE, [text("")])
        groups = [
            [*(self._table() if measured else []), *([] if self._exact or not measured else [self._inexact()])],
            [*([] if measured else [self._nothing()]), *self._race(), *self._tracks(form)],
            [] if measured else self._hints(),
            self._verdict(form),
            [*self._targets(form), *([space] if form is _Form.TABLES else []), *self._ledger(form)],
            self._images(form),
            self._others(form) if form >= _Form.WHOLE else [],
        ]
        filled = [group for group in groups if any(rows for _, rows in group)]
        return [block for group in filled for block in (space, *group)][1:]

    def _table(self) -> list[Block]:
        stages = telling_stages(self._comparison.stages)
        lightest_last = sorted(stages, key=weight, reverse=True)
        slowest = max((stage.legacy_ms or 0.0 for stage in stages), default=0.0)
        columns = columns_of(self._width)
        blocks: list[Block] = [(_HEAD, [head_row(columns)])]
        for stage in stages:
            row = stage_row(stage, slowest, columns, exact=self._exact)
            blocks.append((_STAGES + lightest_last.index(stage), [row]))
        return [*blocks, (_TOTAL, [total_row(self._comparison, columns)])]

    def _nothing(self) -> Block:
        scenario = self._comparison.scenario.value.replace("-", " ")
        words = f"Nothing measured yet: {scenario}" if self._comparison.elsewhere else "Nothing measured yet"
        return _HEAD, [fit(text((words, "bold")), self._width)]

    def _inexact(self) -> Block:
        return _REMARKS, [fit(text((INEXACT, FAINT)), self._width)]

    def _race(self) -> list[Block]:
        race, width = self._state.race, self._width
        if race is None:
            result = shown_result(self._state)
            return [] if result is None else [(_RACE, result_rows(result, width))]
        title = title_rows(race, width)
        if race.phase is RacePhase.WAITING:
            return [(_RACE, title)]
        # Who asked for a race knows of it without a title.
        return [(_HEAD if race.asked else _RACE, title), (_RACE, race_rows(race, self._state, self._now, width))]

    def _tracks(self, form: _Form) -> list[Block]:
        race, comparison = self._state.race, self._comparison
        if race is not None and race.phase is RacePhase.RUNNING:
            return []
        rows = track_rows(
            comparison,
            self._now,
            self._width,
            self._state.mode,
            can_race=self._can_race,
            brief=form is _Form.BRIEF,
        )
        return [(_TRACKS if comparison.speedup is not None else _RACE, rows)]

    def _hints(self) -> list[Block]:
        hints = ["No figure here is ever estimated."]
        if self._can_race and self._state.mode is Mode.SPLIT:
            hints.insert(0, "A race is a real build; x cancels it.")
        return [(_REMARKS, [fit(text((hint, FAINT)), self._width)]) for hint in hints]

    def _verdict(self, form: _Form) -> list[Block]:
        """What the figures mean. A side that is missing has said so already, on its own row."""
        verdict, comparison = self._comparison.verdict, self._comparison
        blocks: list[Block] = []
        if verdict is not None and comparison.speedup is not None:
            most = 1 if self._height < _SHORT else 2
            sentence = wrapped("", printable(verdict.sentence), "", self._prose)
            blocks.append((_VERDICT, sentence if form >= _Form.WHOLE else limited(sentence, most, "")))
            if form >= _Form.WHOLE:
                blocks += self._advice(verdict, "")
        left_out = base_rows(self._findings, comparison.scenario, self._prose, whole=form >= _Form.WHOLE)
        if comparison.split is not None:
            blocks.append((_LEFT_OUT, left_out))
        return blocks

    def _advice(self, verdict: Verdict, indent: str) -> list[Block]:
        edge = text(indent, ("→ ", "bold"))
        return [(_ADVICE, wrapped(edge, printable(advice), MUTED, self._prose)) for advice in verdict.advice]

    def _targets(self, form: _Form) -> list[Block]:
        targets = self._findings.targets
        if all(target.met is None for target in targets):
            return []
        rows = target_rows(targets, self._width) if form is _Form.TABLES else [target_row(targets, self._width)]
        return [(_TARGETS, rows)]

    def _ledger(self, form: _Form) -> list[Block]:
        ledger = self._findings.ledger
        if form is _Form.TABLES:
            return [(_LEDGER, ledger_rows(ledger, self._width))]
        row = ledger_row(ledger, self._width)
        return [] if row is None else [(_LEDGER, [row])]

    def _images(self, form: _Form) -> list[Block]:
        images = self._findings.images
        if form >= _Form.WHOLE:
            return [(_IMAGES, image_rows(images, self._prose))]
        row = image_row(images, self._width)
        return [] if row is None else [(_IMAGES, [row])]

    def _others(self, form: _Form) -> list[Block]:
        """The scenarios that are not shown, each with its figures and what they mean."""
        columns = columns_of(self._width)
        blocks: list[Block] = []
        for other in self._findings.scenarios:
            if other.scenario is self._comparison.scenario:
                continue
            rows = [total_row(other, columns, other.scenario.value.replace("-", " "))]
            if other.verdict is not None:
                rows += wrapped("  ", printable(other.verdict.sentence), MUTED, self._prose)
            blocks.append((_OTHERS, rows))
            if other.verdict is not None and form is _Form.TABLES:
                blocks += self._advice(other.verdict, "  ")
        return blocks
