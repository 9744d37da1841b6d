"""Every command of the console, once: the keys, the footer, the palette and the help are made from this table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from textual.actions import parse
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from console.model import Target

Room = Literal["narrow", "normal", "wide"]
"""As the app's horizontal breakpoints call them."""


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
    room: Room = "narrow"
    """The narrowest screen whose footer has it."""
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
        "versions",
        "v",
        "app.base_panel",
        "versions",
        "Open the base panel",
        "Versions of the base image: what they differ in, use another, roll back, pull, publish",
    ),
    Command(
        "history",
        "h",
        "app.history",
        "history",
        "Open the history",
        "Every measured build: timelines, trends, what the split gains, how any two builds differ",
        room="normal",
    ),
    Command(
        "race",
        "l",
        "app.race_legacy",
        "race",
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
    Command(
        "mode",
        "m",
        "app.change_mode",
        "mode",
        "Switch between split and legacy mode",
        "Serve the single image of [legacy] in place of the app image, or go back; asks first",
        room="wide",
    ),
    Command("search", "slash", "search", "search", "Search the log", "Search the focused log, or the app's"),
    Command(
        "focus",
        "tab",
        "app.focus_next",
        "focus",
        "Focus the next panel",
        "Go to the next panel; shift+tab to the one before",
        room="wide",
    ),
    Command(
        "zoom",
        "f,z",
        "zoom",
        "zoom",
        "Maximise the focused panel, or go back",
        "Give the focused panel the whole screen, or take it back",
        room="normal",
    ),
    Command(
        "build",
        "t",
        "next_build",
        "build",
        "Show the next build",
        "Show another build: app, base, legacy",
        room="normal",
    ),
    Command(
        "notices",
        "e",
        "notices",
        "notices",
        "Show all notices",
        "Read every error and remark of this session",
        room="wide",
    ),
    Command("help", "question_mark", "help", "help", "Show the help", "What the keys and the words mean"),
    Command("quit", "q", "app.quit", "quit", "Quit", "Leave the console"),
)
"""The commands that have a key on the dashboard, as the footer shows them."""

BASE_KEYS = (
    Command(
        "base.use",
        "enter,u",
        "use_version",
        "use",
        "Use this base version",
        "Let app builds stand on the selected version and write that to config.toml; asks first",
    ),
    Command(
        "base.rollback",
        "R",
        "roll_back",
        "roll back",
        "Roll the base back",
        "Let app builds stand on the version before the present one; asks first",
    ),
    Command("base", "b", "app.build_base", "build", "Build the base image", "Build the base image, then the app on it"),
    Command(
        "base.approve",
        "a",
        "approve",
        "approve",
        "Approve the held base image",
        "Take the new base image with the major updates that it brings",
    ),
    Command(
        "base.pull",
        "g",
        "pull",
        "pull",
        "Pull the base image",
        "Get the registry's base image, and take it if it passes its check",
    ),
    Command(
        "base.publish",
        "P",
        "publish",
        "publish",
        "Publish the base image",
        "Push the present base image to its registry; asks first",
    ),
    Command(
        "base.diff",
        "d",
        "compare",
        "diff",
        "Compare this base version",
        "Tell what the selected version and the present one do not have alike",
    ),
    Command(
        "base.contents",
        "i",
        "show_contents",
        "holds",
        "Show what this base version holds",
        "List the packages in the selected version",
        room="normal",
    ),
    Command(
        "base.prune",
        "x",
        "prune",
        "prune",
        "Prune base versions",
        "Remove the base images that nobody needs; asks first",
        room="normal",
    ),
    Command("base.help", "question_mark", "help", "help", "Show the help", "What the keys and the words mean"),
    Command("base.close", "escape,v,q", "close", "back", "Close the base panel", "Back to the dashboard"),
)
"""The commands of the base panel."""

HISTORY_KEYS = (
    Command(
        "history.sort",
        "s",
        "sort",
        "sort",
        "Sort the builds by the next column",
        "Sort by when, took, scenario, image, outcome, size, ready; a click on a heading does, too",
    ),
    Command(
        "history.reverse",
        "S",
        "reverse",
        "reverse",
        "Reverse the order of the builds",
        "The other way round",
        room="wide",
        shown=False,
    ),
    Command(
        "history.image",
        "i",
        "next_image",
        "image",
        "List the builds of the next image",
        "All, app, base or legacy builds",
    ),
    Command(
        "history.scenario",
        "c",
        "next_scenario",
        "scenario",
        "List the builds of the next scenario",
        "All, cold, code-change, deps-change or no-change builds; the trend shows the same",
    ),
    Command(
        "history.outcome",
        "o",
        "next_outcome",
        "outcome",
        "List the builds of the next outcome",
        "All, successful, failed or cancelled builds",
        room="wide",
        shown=False,
    ),
    Command("history.mark", "space", "mark", "mark", "Mark this build", "Mark the build that others are compared with"),
    Command(
        "history.diff",
        "d",
        "difference",
        "diff",
        "Compare this build with the marked one",
        "What got slower, step by step, and why; or go back to the build",
    ),
    Command(
        "history.findings",
        "v",
        "findings",
        "gains",
        "Show what the history says of both tracks",
        "Verdicts, targets, what the split saved and cost; or go back to the build",
    ),
    Command(
        "history.trend",
        "t",
        "trend",
        "trend",
        "Show the trend larger, or go back",
        "What the builds of both tracks took over time",
    ),
    Command(
        "history.build",
        "enter",
        "show_build",
        "build",
        "Show the selected build",
        "Its facts, its timeline, why its steps were run",
        room="wide",
        shown=False,
    ),
    Command(
        "history.zoom",
        "f,z",
        "zoom",
        "zoom",
        "Maximise the focused pane, or go back",
        "Give the focused pane the whole screen, or take it back",
        room="wide",
        shown=False,
    ),
    Command("history.help", "question_mark", "help", "help", "Show the help", "What the keys and the words mean"),
    Command("history.close", "escape,h,q", "close", "back", "Close the history", "Back to the dashboard"),
)
"""The commands of the history."""

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
    """The palette's entries: what the screen's `PALETTE` has, which is everything with a key and a bit more."""

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
        offered: tuple[Command, ...] = getattr(self.screen, "PALETTE", ())
        yield from (command for command in offered if self._makes_sense(command))

    def _makes_sense(self, command: Command) -> bool:
        namespace, name, parameters = parse(command.action)
        return (self.app if namespace == "app" else self.screen).check_action(name, parameters) is not False

    def _display(self, command: Command) -> str:
        key = key_names(command)
        return f"{command.title}  ({key})" if key else command.title


def key_names(command: Command) -> str:
    """Its keys as people read them: `/`, `f or z`."""
    names = {"slash": "/", "question_mark": "?", "escape": "esc"}
    return " or ".join(names.get(key, key) for key in command.keys.split(",") if key)
