"""Two builds of the history side by side: what each step took in both, and why. Pure."""

from __future__ import annotations

from textual.content import Content

from console.format import printable
from console.measurements import Sample
from console.model import Step, StepStatus
from console.state.build_difference import ALIKE, SAME, Fact, StepDifference, difference, signed, spent_ms
from console.state.words import step_took
from console.ui.lines import FAINT, MUTED, column, fit, text, wrapped

_FIGURE = 9
_FACT = 14
_SAME_MS = 20.0
"""Steps that differ by less than this, and by less than a tenth, are not coloured as slower or quicker."""


def difference_rows(before: Sample, after: Sample, width: int) -> list[Content]:
    """Reservations, totals and facts, then the steps, slower ones first."""
    found = difference(before, after)
    rows = [fit(text(_title(before), ("  →  ", MUTED), _title(after)), width)]
    rows += wrapped(text(("! ", "bold $warning")), printable(found.apart), "$warning", width)
    for remark in found.remarks:
        rows += wrapped(text(("! ", "$warning")), printable(remark), MUTED, width)
    alike = [fact for fact in found.facts if fact.change in {SAME, ALIKE}]
    for fact in found.facts:
        rows += [] if fact in alike else _fact_rows(fact, width)
    rows += wrapped(text((f"{'the same':<{_FACT}}", MUTED)), ", ".join(fact.name for fact in alike), MUTED, width)
    rows.append(text(""))
    if not found.steps:
        return [*rows, fit(text(("Nothing is known of their steps.", MUTED)), width)]
    figures = (f"#{before.number}", f"#{after.number}", "change")
    name_cells = max(width - (_FIGURE + 1) * 3, 1)
    rows.append(text(fit(text(("step", MUTED)), name_cells), *(column(each, _FIGURE + 1, MUTED) for each in figures)))
    for step in found.steps:
        rows += _step_rows(step, name_cells, width)
    return [fit(row, width) for row in rows]


def _title(sample: Sample) -> Content:
    return text((f"#{sample.number}", "bold"), f" {sample.target.value}", (f" {sample.scenario.value}", MUTED))


def _fact_rows(fact: Fact, width: int) -> list[Content]:
    before, after = printable(fact.before), printable(fact.after)
    values = before if before == after else f"{before} → {after}"
    said = f"{values}  {fact.change}" if fact.change else values
    return wrapped(text((f"{fact.name:<{_FACT}}", MUTED)), said, "$foreground", width)


def _step_rows(step: StepDifference, name_cells: int, width: int) -> list[Content]:
    slower = step.slower_ms
    least = max(_SAME_MS, min(spent_ms(step.before), spent_ms(step.after)) / 10)
    style = "bold $error" if slower > least else "$success" if slower < -least else MUTED
    figures = (*(column(_spent(each), _FIGURE + 1) for each in (step.before, step.after)),)
    quiet = spent_ms(step.before) == spent_ms(step.after) == 0
    name = fit(text((printable(step.name), MUTED if quiet else "")), name_cells)
    row = text(name, *figures, column("" if quiet else signed(slower), _FIGURE + 1, style))
    return [row, *wrapped(text(("  └ ", FAINT)), step.why, MUTED, width)]


def _spent(step: Step | None) -> str:
    if step is None:
        return "–"
    return "cached" if step.cached else "not run" if step.status is StepStatus.PENDING else step_took(step)
