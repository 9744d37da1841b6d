"""What the keys and the words mean, on top of whatever is on the screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from console.format import printable
from console.state.app_state import AppState
from console.state.words import INEXACT, builder_words
from console.ui.commands import BASE_KEYS, HISTORY_KEYS, KEYS, LOG_KEYS, Command, key_names
from console.ui.lines import MUTED, fit, text

_WORDS = (
    ("save-to-ready", "from your last save until the app answers again: the number that this console is about"),
    ("base image", "holds every dependency; slow to build, so it is built seldom"),
    ("app image", "your code on top of the base; built at every save"),
    ("legacy", "the single image that holds both; raced to know what the same save would cost"),
    ("detect", "your last save until no further one came"),
    ("context", "reading the files that the image is built from"),
    ("swap", "the old container out, the new one in"),
    ("ready", "the new container until it answers"),
    ("version", "a base image with a date for a name; only latest ever moves from one to another"),
    ("pinned", "config.toml names one version, so a new base does not take its place"),
    ("held", "a new base that failed, or brings a major update that nobody has approved yet"),
    ("legacy mode", "the legacy image is built and served in place of the app image"),
    ("stale", "the base was built from other inputs than those on disk now"),
    ("left", "what earlier builds like it took, minus what this one has taken so far"),
    ("n", "how many measured builds a median is made of"),
    ("speedup", "legacy median ÷ split median, of builds in one scenario on this engine and machine"),
    ("scenario", "what a build was up against: cold (no cache), code change, deps change, no change"),
    ("race", "the legacy build of your last change, after the app build of it; gives way to a save"),
    ("old", "a build of more than a month ago, or of a Dockerfile with other instructions"),
    ("outlier", "a build that took far more or less than the others of its kind"),
    ("disturbed", "a build whose figure says nothing about it alone: compared with nothing"),
)
_SIGNS = (
    ("✔", "done, fresh, running"),
    ("⚡", "taken from the builder's cache"),
    ("●", "happening now"),
    ("○", "waiting"),
    ("✖", "failed"),
    ("⊘", "cancelled"),
    ("!", "needs your attention; in the log: written to stderr, or a remark of the builder"),
    ("≈", "a time that the builder did not tell: when its lines arrived here"),
    ("↶", "went back to the container before; of a base version: a rollback goes to it"),
    ("↑", "the registry has another base image than the one here"),
    ("■", "a base version that config.toml or a compose file names"),
)
_KEY = 18


class HelpScreen(ModalScreen[None]):
    """Keys, signs and words."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss_help", "close", tooltip="Back to the dashboard"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="dialog") as dialog:
            dialog.border_title = "Help"
            dialog.border_subtitle = "esc closes"
            yield Static(help_text(self._state), classes="body")

    def action_dismiss_help(self) -> None:
        self.dismiss()


def help_text(state: AppState) -> Content:
    """The page."""
    lines: list[Content] = [
        *_builder_lines(state),
        _heading("Keys"),
        *map(_key_line, KEYS),
        _pair("ctrl+p", "The palette: every command by name"),
    ]
    lines += [text(""), _heading("In a log"), *map(_key_line, LOG_KEYS)]
    lines += [_pair("↑ ↓ pgup pgdn", "Scroll; going up stops following"), _pair("mouse drag", "Select; ctrl+c copies")]
    lines += [text(""), _heading("In the base panel"), *map(_key_line, BASE_KEYS)]
    lines += [_pair("↑ ↓ home end", "Select a version; a click does, too"), _pair("double click", "Use it")]
    lines += [text(""), _heading("In the history"), *map(_key_line, HISTORY_KEYS)]
    lines += [_pair("↑ ↓ home end", "Select a build; a click does, too"), _pair("a heading", "Click: sort by it")]
    lines += [text(""), _heading("Signs"), *(_pair(sign, meaning) for sign, meaning in _SIGNS)]
    lines += [text(""), _heading("Words"), *(_pair(word, meaning) for word, meaning in _WORDS)]
    return text("\n").join(lines)


def _builder_lines(state: AppState) -> list[Content]:
    """How images are built on this engine, why so, and what that way cannot do."""
    engine, builder = state.engine, state.builder
    if engine is None or builder is None:
        return []
    way = text("  ", (builder_words(engine, builder), "bold"), (f" – {printable(builder.reason)}", MUTED))
    lines = [_heading("How images are built"), way, *(_pair("!", printable(limit)) for limit in builder.limits)]
    lines += [] if builder.exact else [_pair("≈", INEXACT.removeprefix("≈ "))]
    return [*lines, text("")]


def _heading(words: str) -> Content:
    return text((words, "bold $primary"))


def _key_line(command: Command) -> Content:
    return _pair(key_names(command), command.meaning)


def _pair(left: str, right: str) -> Content:
    return text(fit(text(("  ", ""), (left, "bold")), _KEY - 1), " ", (right, MUTED))
