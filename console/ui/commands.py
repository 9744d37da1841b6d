"""Every command of the console, once: the keys, the footer, the palette and the help are made from this table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.model import Target


@dataclass(frozen=True, slots=True)
class Command:
    """Something that the user can ask for."""

    id: str
    """Under this name config.toml gives it another key."""
    keys: str
    """As Textual writes them, comma-separated; empty for a command that only the palette has."""
    action: str
    """On the dashboard, or on the app where it says `app.`."""
    label: str
    """One word or two, for the footer."""
    title: str
    """A short sentence, for the palette."""
    meaning: str
    """What it does, for tooltips and help."""
    minor: bool = False
    """Left out of a narrow footer."""
    shown: bool = True
    """Whether the footer shows it at all."""

    @property
    def binding(self) -> Binding:
        """Its key binding."""
        return Binding(self.keys, self.action, self.label, id=self.id, tooltip=self.meaning, show=self.shown)


KEYS = (
    Command(
        "rebuild", "r", "app.rebuild", "rebuild", "Rebuild the app", "Build the app image now and swap the container"
    ),
    Command("base", "b", "app.build_base", "base", "Build the base image", "Build the base image, then the app on it"),
    Command(
        "race",
        "l",
        "app.race_legacy",
        "race legacy",
        "Race the legacy build",
        "Build the legacy image for real, with the source as it is now",
    ),
    Command(
        "cancel",
        "x",
        "app.cancel_build",
        "cancel",
        "Cancel what is being built",
        "Stop the build that is running; the app keeps running",
    ),
    Command(
        "pause",
        "p",
        "app.toggle_pause",
        "pause",
        "Pause, or go on",
        "Stop reacting to saves, or go on reacting to them",
    ),
    Command("search", "slash", "search", "search", "Search the log", "Search the focused log, or the app's"),
    Command(
        "focus",
        "tab",
        "app.focus_next",
        "focus",
        "Focus the next panel",
        "Go to the next panel; shift+tab to the one before",
        minor=True,
    ),
    Command(
        "zoom",
        "f,z",
        "zoom",
        "zoom",
        "Maximise the focused panel, or go back",
        "Give the focused panel the whole screen, or take it back",
        minor=True,
    ),
    Command(
        "build", "t", "next_build", "build", "Show the next build", "Show another build: app, base, legacy", minor=True
    ),
    Command(
        "notices",
        "e",
        "notices",
        "notices",
        "Show all notices",
        "Read every error and remark of this session",
        minor=True,
    ),
    Command("help", "question_mark", "help", "help", "Show the help", "What the keys and the words mean"),
    Command("quit", "q", "app.quit", "quit", "Quit", "Leave the console"),
)
"""The commands that have a key on the dashboard, as the footer shows them."""

LOG_KEYS = (
    Command("log.follow", "end", "follow", "follow", "Follow the log", "Go to the end of the log and follow it again"),
    Command("log.next", "n", "match(1)", "next", "Next match", "Next line that matches the search"),
    Command("log.previous", "N", "match(-1)", "previous", "Previous match", "Previous line that matches the search"),
    Command("log.leave", "escape", "leave_search", "leave", "Leave the search", "Forget the search"),
)
"""The commands of a focused log; the keys belong to the log view, the palette reaches them through the dashboard."""

SHOW_BUILDS = tuple(
    Command(
        f"show.{target.value}",
        "",
        f"show_build('{target.value}')",
        "",
        f"Show the {target.value} build",
        f"Steps and output of the newest {target.value} build",
    )
    for target in Target
)


class ConsoleCommands(Provider):
    """The palette's entries: everything that has a key, and a few things that have none."""

    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(
                self._display(command), partial(self.screen.run_action, command.action), help=command.meaning
            )

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in self._commands():
            title = self._display(command)
            score = matcher.match(title)
            if score > 0:
                run = partial(self.screen.run_action, command.action)
                yield Hit(score, matcher.highlight(title), run, help=command.meaning)

    def _commands(self) -> Iterator[Command]:
        if not self.screen.is_modal:
            possible = self.app.check_action("race_legacy", ())
            yield from (command for command in (*KEYS, *LOG_KEYS, *SHOW_BUILDS) if possible or command.id != "race")

    def _display(self, command: Command) -> str:
        key = key_names(command)
        return f"{command.title}  ({key})" if key else command.title


def key_names(command: Command) -> str:
    """Its keys as people read them: `/`, `f or z`."""
    names = {"slash": "/", "question_mark": "?", "escape": "esc"}
    return " or ".join(names.get(key, key) for key in command.keys.split(",") if key)
