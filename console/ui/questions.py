"""What is asked before something is done that is not undone by the next key: in words that say what will happen."""

from __future__ import annotations

from dataclasses import dataclass

from console.base_values import BaseStatus, BaseVersion
from console.format import duration, plural, printable, size
from console.model import Mode
from console.state.app_state import AppState


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its consequences."""

    title: str
    happens: tuple[str, ...]
    """What will happen, a sentence or two each."""
    yes: str
    """What the user says when he wants it."""
    careful: bool = False
    """Whether a mere enter must not be a yes: others see it, or it cannot be undone."""


def mode_question(state: AppState, mode: Mode) -> Question:
    """Before the loop makes another image."""
    comparison = state.comparison
    legacy, split = (comparison.legacy, comparison.split) if comparison is not None else (None, None)
    if mode is Mode.LEGACY:
        took = f" It usually takes {duration(legacy.median_ms)}." if legacy is not None else ""
        happens = (
            f"The legacy image is built now and takes the place of the app image in the running container.{took}",
            "From then on every save builds it. The base image and its versions stay as they are.",
            "m goes back. config.toml stays as it is: [app] mode makes it last.",
        )
        return Question("Serve the legacy image?", happens, "Serve the legacy image")
    took = f" It usually takes {duration(split.median_ms)}." if split is not None else ""
    back = f"The app image is built now, on its base, and takes the place of the legacy image.{took}"
    then = "From then on every save builds the app image. config.toml stays as it is."
    return Question("Go back to the split image?", (back, then), "Go back to split")


def use_question(state: AppState, version: BaseVersion, wanted: str) -> Question:
    """Before app builds stand on another version; `wanted` is what will stand in config.toml."""
    name, now = printable(version.name), present_name(state.base)
    stand = f"App builds stand on base {name} from now on"
    stand += "." if version.current or not now else f", in place of {now}."
    then = "It is the present one, so nothing is built." if version.current else _then_built(state)
    written = f'[base] version in config.toml becomes "{printable(wanted)}":'
    if wanted == "latest":
        follows = f"{written} whenever a new base becomes latest, app builds take it."
        return Question("Follow latest again?", (stand, follows, then), "Follow latest")
    stays = f"{written} a new base does not take its place until you use latest again."
    return Question(f"Use base {name}?", (stand, stays, then), f"Use {name}")


def rollback_question(state: AppState, base: BaseStatus) -> Question:
    """Before app builds stand on the version before."""
    previous, now = printable(base.previous), present_name(base)
    moved = f"latest moves to {previous} on this engine; no other tag moves, and a registry is left alone."
    if base.pinned:
        moved = f'[base] version in config.toml becomes "{previous}".'
    stand = f"App builds stand on base {previous} again, in place of {now}, which stays on this engine."
    return Question(f"Roll back to base {previous}?", (stand, moved, _then_built(state)), f"Roll back to {previous}")


def publish_question(base: BaseStatus, version: BaseVersion | None, remote: str) -> Question:
    """Before others can see the base."""
    now, tags = present_name(base), () if version is None else version.tags
    named = ", ".join(printable(tag) for tag in tags if tag != "latest") or now
    last = ", and then as latest" if "latest" in tags else ""
    pushed = f"Base {now} is pushed to {printable(remote)} as {named}{last}."
    weight = f"It has {size(base.size_bytes)}; only layers that the registry lacks are sent." if base.size_bytes else ""
    seen = "Everybody who pulls latest from there gets it." if last else "latest stays there as it is."
    happens = tuple(filter(None, (pushed, weight, seen)))
    return Question(f"Publish base {now}?", happens, f"Publish {now}", careful=True)


def prune_question(state: AppState, versions: tuple[BaseVersion, ...]) -> Question:
    """Before images are removed."""
    others = sum(not version.current for version in versions)
    back = printable(state.base.previous) if state.base is not None else ""
    kept = (
        "the present one",
        f"{back}, which a rollback goes to" if back else "",
        "what config.toml or a compose file names",
        "what app images stand on",
        "the newest ones, as many as [base] keep says",
    )
    happens = (
        f"Of {plural(others, 'version')} besides the present one, those that nobody needs go from this engine.",
        f"What stays: {'; '.join(filter(None, kept))}.",
        "What a registry has is left alone.",
    )
    return Question("Remove base versions?", happens, "Remove them", careful=True)


def _then_built(state: AppState) -> str:
    if state.mode is Mode.LEGACY:
        return "Nothing is built in legacy mode; it counts once m goes back to split mode."
    return "The app is built again on it."


def present_name(base: BaseStatus | None) -> str:
    """What people call the present base; empty where there is none."""
    if base is None or not base.present:
        return ""
    return printable(base.version) or "the present one"
