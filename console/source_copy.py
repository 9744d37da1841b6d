"""A copy of what builds of both tracks read, to build from and to edit: the user's files are only ever read.

What decides a build is its build context. So just that is copied: the files that the Dockerfile reads and no ignore
rule leaves out, with their modes and times, the Dockerfile, and the rules. That the copy makes for the same build is
not taken on trust: its snapshot must have the digest of the original's (names, kinds, modes, contents). An edit of the
copy is then, for every way to build, the same as an edit of the file itself.

Next to editing the file and putting it back, or to editing the builder's snapshot, a copy has three things for it.
Nothing has to be undone, whatever kills us. What the user saves meanwhile does not get into the measurement: all builds
are of one source. And it holds for builders that read the disk themselves (buildx), which no snapshot reaches.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_IRWXU

import msgspec

from console.build.context import KeptContext, Kind, Snapshot
from console.build.dockerfile import read_dockerfile
from console.build.recipe import recipe_for
from console.config import Config
from console.errors import ContextError, SplitdeckError
from console.format import plural
from console.history.stages import CODE, StageRules
from console.loop.fingerprint import read_base_inputs
from console.model import Mode, Target
from console.watch.ignore import ignore_files, load_ignore

MARK = "-compare"
"""Ends the names of images that are built from a copy: the project's own keep what they are."""

_TRACKS = (Target.LEGACY, Target.APP)
_MOST_BYTES = 1024 * 1024
"""A larger file was hardly written by hand."""
_SUFFIXES = {
    "# {}": "py pyi pyx rb sh bash zsh pl pm r jl ex exs nim cr tcl ps1 nix coffee",
    "// {}": "js mjs cjs jsx ts mts cts tsx go rs java kt kts scala swift dart zig c h cc cpp cxx hpp hh cs groovy",
    "/* {} */": "css scss less",
    "-- {}": "lua sql hs elm adb ads",
    "% {}": "erl hrl",
    "<!-- {} -->": "html htm vue svelte xml",
}
_COMMENTS = {suffix: comment for comment, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
"""How a comment is written that makes a line of its own, by a file name's suffix."""


@dataclass(frozen=True, slots=True)
class _Copied:
    """What one track reads, and where its copy is."""

    snapshot: Snapshot
    """The original's."""
    root: Path
    """The copy's build context."""
    dockerfile: Path
    """The copy's."""
    original: Path
    """The Dockerfile that was copied."""


@dataclass(frozen=True, slots=True)
class _Editable:
    """A source file that both tracks read."""

    name: str
    """Relative to the project's folder."""
    content: bytes
    places: tuple[Path, ...]
    """Its copies."""


class SourceCopy:
    """A copy in place. `copy_source` makes one.

    Args:
        config: The project that was copied.
        copies: By target.
    """

    def __init__(self, config: Config, copies: Mapping[Target, _Copied]) -> None:
        self._original = config
        self._copies = copies
        self._found: _Editable | None = None

    @property
    def config(self) -> Config:
        """The project as it is built from the copy: other names of images, the same history, the same base."""
        swap = msgspec.structs.replace
        app, legacy = self._original.app, self._original.legacy
        assert legacy is not None, "there would be no copy"
        mine, theirs = self._copies[Target.APP], self._copies[Target.LEGACY]
        app = swap(app, image=app.image + MARK, dockerfile=mine.dockerfile, context=mine.root, mode=Mode.SPLIT)
        legacy = swap(legacy, image=legacy.image + MARK, dockerfile=theirs.dockerfile, context=theirs.root)
        return swap(self._original, app=app, legacy=legacy)

    def shown(self, text: str) -> str:
        """A message of a build with the names that the user knows the Dockerfiles by."""
        for copy in self._copies.values():
            mine, theirs = (os.path.relpath(path, self._original.root) for path in (copy.dockerfile, copy.original))
            text = text.replace(mine, theirs).replace(str(copy.dockerfile), theirs)
        return text

    @property
    def edited(self) -> str:
        """The file that `edit` changes, relative to the project's folder.

        It is the largest source file that both builds read, by name where two are equal: a choice that is the same in
        every checkout. Inputs of the base and lists of dependencies are not among them.

        Raises:
            SplitdeckError: If there is none.
        """
        return self._editable().name

    def edit(self, words: str) -> None:
        """Adds a comment to the copies of that file, in place of one that was added before.

        Args:
            words: What it says; words that no build has seen make for a file that no cache has.

        Raises:
            SplitdeckError: If there is no such file, or it cannot be written.
        """
        editable = self._editable()
        comment = _COMMENTS[_suffix(editable.name)].format(words).encode()
        line_end = b"" if not editable.content or editable.content.endswith(b"\n") else b"\n"
        for place in editable.places:
            with _copying(place):
                _replace(place, editable.content + line_end + comment + b"\n")

    def restore(self) -> None:
        """Takes the added comment out again."""
        if self._found is not None:
            for place in self._found.places:
                with _copying(place):
                    _replace(place, self._found.content)

    def _editable(self) -> _Editable:
        if self._found is None:
            self._found = self._find()
        return self._found

    def _find(self) -> _Editable:
        inputs = read_base_inputs(self._original, load_ignore).files
        label = StageRules(self._original.compare.stage).stage_of
        root = os.path.realpath(self._original.root)
        read = [
            {entry.place: (path, entry) for path, entry in copy.snapshot.entries.items() if entry.kind is Kind.FILE}
            for copy in self._copies.values()
        ]
        common = [place for place in read[0] if all(place in other for other in read)]
        fitting = []
        for place in common:
            path, entry = read[0][place]
            name = Path(os.path.relpath(place, root)).as_posix()
            is_code = _suffix(name) in _COMMENTS and label(f"[1/1] COPY {path} /") == CODE
            if is_code and name not in inputs and entry.size <= _MOST_BYTES:
                fitting.append((-entry.size, name, place))
        for _, name, place in sorted(fitting):
            places = tuple(copy.root / files[place][0] for copy, files in zip(self._copies.values(), read, strict=True))
            content = places[0].read_bytes()
            if b"\0" not in content:  # UTF-16, or no text at all
                return _Editable(name, content, places)
        if not common:
            why = "the two Dockerfiles copy no file that is the same"
        else:
            why = f"of {plural(len(common), 'file')} that both Dockerfiles copy, none is source code alone"
        raise SplitdeckError(
            f"a change of the code cannot be measured: {why}",
            "what counts is a file of a known language that is no input of the base and no list of dependencies",
        )


def copy_source(config: Config, folder: Path) -> SourceCopy:
    """Copies what builds of the app and legacy images read.

    Args:
        config: The project; it has a legacy Dockerfile.
        folder: An empty one, to be removed when the copy is of no more use.

    Raises:
        SplitdeckError: If a Dockerfile makes no sense, or something cannot be read or copied.
    """
    return SourceCopy(config, {target: _copied(config, target, folder / target.value) for target in _TRACKS})


def _copied(config: Config, target: Target, folder: Path) -> _Copied:
    recipe = recipe_for(config, target)
    sources = read_dockerfile(recipe.dockerfile, recipe.args).context_sources(recipe.target or None)

    def snapshot(context: Path, dockerfile: Path) -> Snapshot:
        return KeptContext(context).snapshot(load_ignore(context, dockerfile), sources, dockerfile, trust=False)

    original = snapshot(recipe.context, recipe.dockerfile)
    root = folder / "context"
    dockerfile = _place_of(recipe.dockerfile, original.root, folder)
    with _copying(folder):
        folder.mkdir()  # not what it is in: whoever has removed that wants no copy any more
        root.mkdir()
        _copy_entries(original, root)
        for file, copy in zip(
            (recipe.dockerfile, *ignore_files(recipe.context, recipe.dockerfile)),
            (dockerfile, *ignore_files(root, dockerfile)),
            strict=True,
        ):
            if file.is_file() and not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy)
    if snapshot(root, dockerfile).digest != original.digest:
        raise ContextError(
            f"the copy of what the {target.value} build reads is not the same as that",
            "most likely something was saved meanwhile: try again",
        )
    return _Copied(original, root, dockerfile, recipe.dockerfile)


def _place_of(dockerfile: Path, context: Path, folder: Path) -> Path:
    """Where a Dockerfile's copy goes: to the same place in the build context, or beside the context's copy."""
    real = Path(os.path.realpath(dockerfile))
    if real.is_relative_to(context):
        return folder / "context" / real.relative_to(context)
    return folder / "dockerfile" / dockerfile.name


def _copy_entries(snapshot: Snapshot, root: Path) -> None:
    for path, entry in snapshot.entries.items():
        place = root / path
        if entry.kind is Kind.DIR:
            place.mkdir()
        elif entry.kind is Kind.LINK:
            place.symlink_to(entry.target)
            shutil.copystat(entry.place, place, follow_symlinks=False)
        else:
            shutil.copy2(entry.place, place, follow_symlinks=False)
    for path, entry in reversed(list(snapshot.entries.items())):  # what is put into a directory changes its time
        if entry.kind is Kind.DIR:
            shutil.copystat(entry.place, root / path)
            (root / path).chmod((root / path).stat().st_mode | S_IRWXU)  # it has to be removed again


def _replace(place: Path, content: bytes) -> None:
    """Writes a file anew, with its mode, whether it may be written to or not."""
    draft = place.with_name(f"{place.name}.draft")
    draft.write_bytes(content)
    shutil.copymode(place, draft)
    draft.replace(place)


@contextmanager
def _copying(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot copy the source to {place}: {error.strerror or error}"
        raise ContextError(message, "see that there is space for temporary files, or set TMPDIR") from error


def _suffix(name: str) -> str:
    return Path(name).suffix.removeprefix(".").lower()
