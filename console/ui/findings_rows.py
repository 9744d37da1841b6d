"""What a history says beside the scenario shown, as rows: targets, account, images, the base, other scenarios. Pure.

Everything has a form of one row for the dashboard, which leaves out what does not fit, and a whole one for a panel that
has the screen to itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from textual.content import Content

from console.format import duration, plural, printable, size
from console.measurements import Findings, ImageBytes, Ledger, Period, TargetCheck
from console.model import Scenario
from console.ui.lines import MUTED, Part, column, fit, limited, text, wrapped

LEAD = 9
"""Cells of the word that says what a row is about."""
MARKS = {True: ("✔", "$success"), False: ("✖", "bold $error"), None: ("?", MUTED)}
_LIMIT = re.compile(r"(?P<name>[^\W\d_]+)(?:\s+[^\W\d_]+)*\s+(?P<sign>[<>≤≥])?\s*(?P<limit>.+)")
"""A target's label: `app build < 60 s`, `CI pipeline −70 %`."""
_LEDGER_COLUMNS = ("app builds", "saved", "base builds", "base cost", "net")
_LEDGER_FIGURE = 13
_LEDGER_NAME = 10
_NARROW = 50

# -- targets ----------------------------------------------------------------------------------------------------------


def target_row(targets: Sequence[TargetCheck], width: int) -> Content:
    """All targets on one row, in as many words as fit; at the narrowest how many are met, and which are not."""
    labels = [printable(target.label) for target in targets]
    short = [_short(label) for label in labels]
    rows = (
        _marked(targets, labels, measured=True),
        _marked(targets, labels, measured=False),
        _marked(targets, short, measured=False),
    )
    fitting = next((row for row in rows if row.cell_length <= width), None)
    return fit(fitting if fitting is not None else _counted(targets, labels, short, width), width)


def _marked(targets: Sequence[TargetCheck], names: Sequence[str], *, measured: bool) -> Content:
    parts: list[Part] = [("targets", MUTED)]
    for target, name in zip(targets, names, strict=True):
        parts += [f"  {name} ", MARKS[target.met]]
        if measured and target.measured and target.met is not None:
            parts.append((f" {printable(target.measured)}", MUTED))
    return text(*parts)


def _short(label: str) -> str:
    """`app <60 s` of `app build < 60 s`."""
    match = _LIMIT.fullmatch(label)
    return f"{match['name']} {match['sign'] or ''}{match['limit']}" if match else label


def _counted(targets: Sequence[TargetCheck], labels: Sequence[str], short: Sequence[str], width: int) -> Content:
    met = sum(target.met is True for target in targets)
    head = text((f"{'targets':<{LEAD}}", MUTED), f"{met} of {len(targets)} met ")
    forms = [[names[i] for i, target in enumerate(targets) if target.met is False] for names in (labels, short)]
    forms.append([name.partition(" ")[0] for name in forms[1]])
    if forms[0]:
        said = next((row for row in map(", ".join, forms) if head.cell_length + 2 + len(row) <= width), None)
        return text(head, (f"✖ {said if said is not None else ', '.join(forms[-1])}", "bold $error"))
    unknown = sum(target.met is None for target in targets)
    return text(head, (f"? {unknown} not measured", MUTED) if unknown else MARKS[True])


def target_rows(targets: Sequence[TargetCheck], width: int) -> list[Content]:
    """A row for each."""
    longest = max((len(printable(target.label)) for target in targets), default=0)
    rows = []
    for index, target in enumerate(targets):
        lead = (f"{'' if index else 'targets':<{LEAD}}", MUTED)
        label = f" {printable(target.label):<{longest}}  "
        rows.append(fit(text(lead, MARKS[target.met], label, (printable(target.measured), MUTED)), width))
    return rows


# -- the account ------------------------------------------------------------------------------------------------------


def ledger_row(ledger: Ledger, width: int) -> Content | None:
    """Today's account, with as much of what is behind it as fits; None while there is none at all."""
    spans = [span for span in _spans(ledger) if _has_any(span[1])]
    if not spans:
        return None
    name, period = spans[0]
    parts: list[list[Part]] = []
    if period.builds or period.saved_ms:
        parts.append(["saved " if period.saved_ms >= 0 else "lost ", _gain(period.saved_ms)])
    if period.base_builds or period.base_ms:
        parts.append([("base cost " if width >= _NARROW else "base ", MUTED), duration(period.base_ms)])
    if period.unpriced:
        parts.append([(unpriced_words(period) if not parts else f"{period.unpriced} not counted", MUTED)])
    if len(parts) > 1 and period.saved_ms and period.base_ms:
        parts.append([("net ", MUTED), _signed(period.net_ms)])
    if payoff := payoff_words(ledger):
        parts.append([(payoff, MUTED)])
    parts += [[(f"{other} net ", MUTED), _signed(span.net_ms)] for other, span in spans[1:]]
    return fit(_as_many_as_fit(text((f"{name:<{LEAD - 1}} ", MUTED)), parts, width), width)


def ledger_rows(ledger: Ledger, width: int) -> list[Content]:
    """The whole account: a table of its spans of time, when a base build has paid for itself, what is not counted."""
    spans = [span for span in _spans(ledger) if _has_any(span[1])]
    if not spans:
        return []
    if width < _LEDGER_NAME + len(_LEDGER_COLUMNS) * _LEDGER_FIGURE:
        row = ledger_row(ledger, width)
        rows = [] if row is None else [row]
    else:
        heads = [column(name, _LEDGER_FIGURE, MUTED) for name in _LEDGER_COLUMNS]
        rows = [fit(text((f"{'account':<{_LEDGER_NAME}}", MUTED), *heads), width)]
        rows += [fit(_span_row(name, period), width) for name, period in spans]
    lead = " " * LEAD
    if payoff := payoff_words(ledger):
        costs = f" (it takes {duration(ledger.base_build_ms)}, a code change saves {duration(ledger.gain_ms)})"
        rows += wrapped(lead, payoff + costs, MUTED, width)
    if unpriced := next((period for _, period in reversed(spans) if period.unpriced), None):
        rows += wrapped(lead, unpriced_words(unpriced), MUTED, width)
    return rows


def _span_row(name: str, period: Period) -> Content:
    gain, style = _gain(period.saved_ms)
    net, net_style = _signed(period.net_ms)
    return text(
        f"{name:<{_LEDGER_NAME}}",
        column(str(period.builds), _LEDGER_FIGURE),
        column(gain if period.saved_ms >= 0 else f"−{gain}", _LEDGER_FIGURE, style),
        column(str(period.base_builds), _LEDGER_FIGURE),
        column(duration(period.base_ms), _LEDGER_FIGURE),
        column(net, _LEDGER_FIGURE, net_style),
    )


def _spans(ledger: Ledger) -> tuple[tuple[str, Period], ...]:
    return ("today", ledger.today), ("this week", ledger.week), ("in all", ledger.in_all)


def _has_any(period: Period) -> bool:
    return bool(period.builds or period.saved_ms or period.base_builds or period.base_ms or period.unpriced)


def _gain(ms: float) -> tuple[str, str]:
    return duration(abs(ms)), "bold $success" if ms >= 0 else "bold $warning"


def _signed(ms: float) -> tuple[str, str]:
    words, style = _gain(ms)
    return words if ms >= 0 else f"−{words}", style


def unpriced_words(period: Period) -> str:
    """What an account leaves out."""
    return f"{plural(period.unpriced, 'build')} not counted: legacy not measured in their scenario"


def payoff_words(ledger: Ledger) -> str:
    """When a base build has paid for itself; empty where that is unknown or never happens."""
    saves = ledger.saves_until_paid
    return "" if saves is None else f"a base build pays off after {plural(saves, 'save')}"


# -- images and the base ----------------------------------------------------------------------------------------------


def image_row(images: ImageBytes, width: int) -> Content | None:
    """What images weigh, as much as fits; None where nothing is known."""
    parts = _image_parts(images)
    if not parts:
        return None
    return fit(_as_many_as_fit(text((f"{'images':<{LEAD}}", MUTED)), [[part] for part in parts], width), width)


def image_rows(images: ImageBytes, width: int) -> list[Content]:
    """All of it, with what the figures are."""
    parts = _image_parts(images)
    if images.legacy is not None:
        parts.append(f"legacy image {size(images.legacy)}")
    if not parts:
        return []
    return wrapped((f"{'images':<{LEAD}}", MUTED), f"{' · '.join(parts)} – all uncompressed", "", width)


def _image_parts(images: ImageBytes) -> list[str]:
    parts = []
    if images.base is not None:
        parts.append(f"base {size(images.base)}")
    if images.app is not None:
        more = None if images.base is None else images.app - images.base
        parts.append(f"app +{size(more)}" if more is not None and more >= 0 else f"app {size(images.app)}")
    legacy = "" if images.legacy_pull is None else f"legacy: {size(images.legacy_pull)}"
    if images.app_pull is not None:
        parts.append(f"a teammate pulls {size(images.app_pull)}" + (f" ({legacy})" if legacy else ""))
    elif legacy:
        parts.append(f"a teammate pulls {legacy}")
    return parts


def base_rows(findings: Findings, scenario: Scenario, width: int, *, whole: bool) -> list[Content]:
    """What the split's figure in a scenario does not tell by itself: the base that it stands on, on two rows at most.

    Empty for scenarios in which the base has no part.
    """
    if scenario is Scenario.DEPS_CHANGE:
        return [fit(text(("the split's figure is base and app build together", MUTED)), width)]
    if scenario is not Scenario.COLD:
        return []
    built, pull = findings.base_cold_ms, findings.pull
    building = "not measured" if built is None else f"takes {duration(built)}"
    pulling = "not measured" if pull is None else f"takes {duration(pull.median_ms)}"
    if pull is not None and whole:
        pulling += f" ({size(pull.size_bytes)}, n={pull.n})"
    is_built, is_pulled = ("is " if known is None else "" for known in (built, pull))
    said = f"the base is counted as present; building it {is_built}{building}, pulling it {is_pulled}{pulling}"
    if len(said) > width and not whole:
        said = f"base counted as present: build {building}, pull {pulling}".replace("takes ", "")
    return limited(wrapped("", said, MUTED, width), 2, MUTED)


def _as_many_as_fit(head: Content, parts: Sequence[Sequence[Part]], width: int) -> Content:
    """The head with the parts after it, from the first on, leaving out each that would be cut."""
    row = head
    for index, part in enumerate(parts):
        longer = text(row, (" · " if index else "", MUTED), *part)
        if not index or longer.cell_length <= width:
            row = longer
    return row
