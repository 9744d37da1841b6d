"""What the history says of the two tracks as a whole: verdicts, targets, account of the split, image sizes. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from console.format import duration, percent, printable, size, speedup
from console.measurements import Comparison, Findings, ImageBytes, Ledger, Period, TargetCheck, TrackSummary
from console.ui.findings_rows import MARKS, payoff_words, unpriced_words
from console.ui.lines import FAINT, MUTED, column, fit, spread, text, wrapped

_FIGURE = 11
_NAME = 10


def findings_rows(findings: Findings | None, width: int) -> list[Content]:
    """The page, or a word on why it is empty."""
    if findings is None or not findings.scenarios:
        rows = [text(("Nothing was measured yet.", MUTED))]
        rows += wrapped("", "Build the app, then press l on the dashboard: the legacy build is raced.", FAINT, width)
        return [fit(row, width) for row in rows]
    rows = []
    for comparison in findings.scenarios:
        rows += [*_scenario_rows(comparison, width), text("")]
    rows += _target_rows(findings.targets, width)
    rows += _ledger_rows(findings.ledger, width)
    rows += _image_rows(findings, width)
    return [fit(row, width) for row in rows]


def _heading(words: str) -> Content:
    return text((words, "bold $primary"))


def _scenario_rows(comparison: Comparison, width: int) -> list[Content]:
    gain = ""
    if comparison.speedup is not None:
        gain = f"{speedup(comparison.speedup)}  {percent(comparison.reduction)} saved"
    rows = [spread(_heading(comparison.scenario.value), text((gain, "bold")), width)]
    legacy, split = _summary(comparison.legacy), _summary(comparison.split)
    rows += wrapped("", f"legacy {legacy} · split {split}", MUTED, width)
    verdict = comparison.verdict
    if verdict is not None:
        rows += wrapped("", printable(verdict.sentence), "$foreground", width)
        for advice in verdict.advice:
            rows += wrapped(text(("→ ", "$accent")), printable(advice), "$foreground", width)
    return rows


def _summary(summary: TrackSummary | None) -> str:
    if summary is None:
        return "not measured"
    marks = [f"{count} {word}" for count, word in ((summary.old, "old"), (summary.outliers, "outlier")) if count]
    return f"{duration(summary.median_ms)} (n={summary.n}{''.join(f', {mark}' for mark in marks)})"


def _target_rows(targets: Sequence[TargetCheck], width: int) -> list[Content]:
    if not targets:
        return []
    rows = [_heading("targets")]
    for target in targets:
        mark = text(MARKS[target.met], " ")
        rows += wrapped(mark, f"{printable(target.label)}: {printable(target.measured)}", "$foreground", width)
    return [*rows, text("")]


def _ledger_rows(ledger: Ledger, width: int) -> list[Content]:
    heads = ("saved", "base cost", "net")
    rows = [text(fit(_heading("account"), _NAME), *(column(head, _FIGURE, MUTED) for head in heads))]
    for name, period in (("today", ledger.today), ("this week", ledger.week), ("in all", ledger.in_all)):
        rows.append(_period_row(name, period))
    if ledger.saves_until_paid is not None:
        costs = f"it takes {duration(ledger.base_build_ms)}, a code change saves {duration(ledger.gain_ms)}"
        rows += wrapped("", f"{payoff_words(ledger)} ({costs})", "$foreground", width)
    if ledger.in_all.unpriced:
        rows += wrapped("", unpriced_words(ledger.in_all), MUTED, width)
    return [*rows, text("")]


def _period_row(name: str, period: Period) -> Content:
    net = period.net_ms
    style = "bold $success" if net > 0 else "bold $warning" if net < 0 else MUTED
    figures = (column(_signed(period.saved_ms), _FIGURE), column(_signed(-period.base_ms), _FIGURE))
    return text(fit(text((name, MUTED)), _NAME), *figures, column(_signed(net), _FIGURE, style))


def _signed(ms: float) -> str:
    return "0 s" if abs(ms) < 0.5 else f"{'−' if ms < 0 else '+'}{duration(abs(ms))}"


def _image_rows(findings: Findings, width: int) -> list[Content]:
    images: ImageBytes = findings.images
    sizes = (
        ("base image", images.base),
        ("app image with its base", images.app),
        ("legacy image", images.legacy),
        ("to pull after a change, app", images.app_pull),
        ("to pull after a change, legacy", images.legacy_pull),
    )
    facts = [(name, size(value)) for name, value in sizes if value is not None]
    if findings.base_cold_ms is not None:
        facts.append(("base built without a cache", duration(findings.base_cold_ms)))
    if findings.pull is not None:
        pull = findings.pull
        facts.append(("base pulled whole", f"{duration(pull.median_ms)}, {size(pull.size_bytes)} (n={pull.n})"))
    if not facts:
        return []
    return [_heading("images"), *(spread(text((name, MUTED)), text(value), min(width, 60)) for name, value in facts)]
