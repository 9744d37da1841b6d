"""A copy of what all builds of a project read, to build from and to edit: the user's files are only ever read.

What decides a build is its build context. So just that is copied: the files that the Dockerfile reads and no ignore
rule leaves out, with their modes and times, the Dockerfile, and the rules. That the copy makes for the same build is
not taken on trust: its snapshot must have the digest of the original's (names, kinds, modes, contents). An edit of the
copy is then, for every way to build, the same as an edit of the file itself.

Next to editing the file and putting it back, or to editing the builder's snapshot, a copy has three things for it.
Nothing has to be undone, whatever kills us. What the user saves meanwhile does not get into the measurement: all builds
are of one source. And it holds for builders that read the disk themselves (buildx), which no snapshot reaches.

Two changes can be made to it, each of one file: one of the code, and one of the dependencies. Both add a line that
means nothing, so that what is built works as before; no cache has it, as it says something else each time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_IRWXU

import msgspec

from console.base.tags import CANDIDATE
from console.build.context import Entry, KeptContext, Kind, Snapshot
from console.build.dockerfile import read_dockerfile
from console.build.recipe import recipe_for
from console.config import Config
from console.errors import ContextError, SplitdeckError
from console.format import paths, plural
from console.history.stages import CODE, OTHER_DEPS, PYTHON, StageRules
from console.loop.fingerprint import BaseInputs, read_base_inputs
from console.model import Mode, Scenario, Target
from console.watch.ignore import ignore_files, load_ignore

MARK = "-compare"
"""Ends the names of images that are built from a copy: the project's own keep what they are."""

_MOST_BYTES = 1024 * 1024
"""A larger source file was hardly written by hand."""
_SUFFIXES = {
    "# {}": "py pyi pyx rb sh bash zsh pl pm r jl ex exs nim cr tcl ps1 nix coffee",
    "// {}": "js mjs cjs jsx ts mts cts tsx go rs java kt kts scala swift dart zig c h cc cpp cxx hpp hh cs groovy",
    "/* {} */": "css scss less",
    "-- {}": "lua sql hs elm adb ads",
    "% {}": "erl hrl",
    "<!-- {} -->": "html htm vue svelte xml",
}
_BLANKS = "{} as blanks"
"""For languages without comments: the words as spaces and tabs, which mean nothing at the end of JSON."""
_LISTS = {
    "# {}": "txt in toml cfg yml yaml pipfile gemfile .npmrc poetry.lock uv.lock pdm.lock cargo.lock",
    "// {}": "go.mod go.work gradle",
    "<!-- {} -->": "csproj",
    _BLANKS: "json pipfile.lock composer.lock",
}


def _by_ending(*tables: Mapping[str, str]) -> dict[str, str]:
    return {ending: line for table in tables for line, endings in table.items() for ending in endings.split()}


_COMMENTS = _by_ending(_SUFFIXES)
"""How a comment is written that makes a line of its own, by a file name's suffix."""
_LIST_LINES = _by_ending(_SUFFIXES, _LISTS)
"""The same for lists of dependencies, some of which are known by their whole name. Those that are not here bear no
line, or a package manager would find fault with it."""


@dataclass(frozen=True, slots=True)
class _Copied:
    """What one build reads, and where its copy is."""

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
    """A file that is changed in a scenario."""

    name: str
    """Relative to the project's folder."""
    content: bytes
    places: tuple[Path, ...]
    """Its copies."""
    line: str
    """What a line is made of that means nothing."""

    def with_line(self, words: str) -> bytes:
        """The content with a line more."""
        line = _in_blanks(words) if self.line == _BLANKS else self.line.format(words)
        line_end = b"" if not self.content or self.content.endswith(b"\n") else b"\n"
        return self.content + line_end + line.encode() + b"\n"


class SourceCopy:
    """A copy in place. `copy_source` makes one.

    Args:
        config: The project that was copied.
        copies: By target.
    """

    def __init__(self, config: Config, copies: Mapping[Target, _Copied]) -> None:
        self._original = config
        self._copies = copies
        self._found: dict[Scenario, _Editable] = {}
        self._edit: tuple[_Editable, bytes] | None = None
        """The file that is changed now, and what it holds."""

    @property
    def config(self) -> Config:
        """The project as it is built from the copy: other names of images, the same history, the present base."""
        swap = msgspec.structs.replace
        app, legacy = self._original.app, self._original.legacy
        assert legacy is not None, "there would be no copy"
        mine, theirs = self._copies[Target.APP], self._copies[Target.LEGACY]
        app = swap(app, image=app.image + MARK, dockerfile=mine.dockerfile, context=mine.root, mode=Mode.SPLIT)
        legacy = swap(legacy, image=legacy.image + MARK, dockerfile=theirs.dockerfile, context=theirs.root)
        return swap(self._original, app=app, legacy=legacy)

    @property
    def config_with_own_base(self) -> Config:
        """The same with a base of its own, built from the copy, too: nobody else builds on that."""
        copy, base = self._copies[Target.BASE], self._original.base
        own = msgspec.structs.replace(
            base, image=base.image + MARK, version=CANDIDATE, dockerfile=copy.dockerfile, context=copy.root
        )
        return msgspec.structs.replace(self.config, base=own)

    def shown(self, text: str) -> str:
        """A message of a build with the names that the user knows the Dockerfiles by."""
        for copy in self._copies.values():
            mine, theirs = (os.path.relpath(path, self._original.root) for path in (copy.dockerfile, copy.original))
            text = text.replace(mine, theirs).replace(str(copy.dockerfile), theirs)
        return text

    def edited(self, scenario: Scenario) -> str:
        """The file that `edit` changes in a scenario, relative to the project's folder; empty where it changes none.

        After a change of the code: the largest source file that both app and legacy builds read; inputs of the base and
        lists of dependencies are not among them. After a change of dependencies: the largest list of them that both
        base and legacy builds read. By name where two are equal: a choice that is the same in every checkout.

        Raises:
            SplitdeckError: If there is none.
        """
        if scenario not in _FINDERS:
            return ""
        if scenario not in self._found:
            self._found[scenario] = _FINDERS[scenario](self._original, self._copies)
        return self._found[scenario].name

    def edit(self, scenario: Scenario, words: str) -> None:
        """Adds a line to every copy of that file, in place of what was edited before.

        Each copy gets a line of its own: a builder must not have for one track what it built for another.

        Args:
            scenario: One in which a file is changed.
            words: What the line says; words that no build has seen make for a file that no cache has.

        Raises:
            SplitdeckError: If there is no such file, or it cannot be written.
        """
        self.edited(scenario)
        self.restore()
        editable = self._found[scenario]
        self._edit = editable, editable.with_line(words)
        for number, place in enumerate(editable.places):
            with _copying(place):
                _replace(place, editable.with_line(f"{words} {number}" if number else words))

    def restore(self) -> None:
        """Takes the added line out again."""
        if self._edit is not None:
            editable, self._edit = self._edit[0], None
            for place in editable.places:
                with _copying(place):
                    _replace(place, editable.content)

    def as_edited(self, inputs: BaseInputs) -> BaseInputs:
        """The base's inputs with the one that is changed now, if it is one."""
        if self._edit is None or self._edit[0].name not in inputs.files:
            return inputs
        editable, content = self._edit
        return replace(inputs, files={**inputs.files, editable.name: hashlib.sha256(content).hexdigest()})


def _find_code(config: Config, copies: Mapping[Target, _Copied]) -> _Editable:
    """The largest source file that app and legacy builds read."""
    inputs = read_base_inputs(config, load_ignore).files
    row_of = StageRules(config.compare.stage).stage_of
    common = _read_by(copies, Target.APP, Target.LEGACY)
    fitting = {}
    for place, (path, entry) in common.items():
        name = _name_of(place, config)
        is_code = _suffix(name) in _COMMENTS and row_of(f"[1/1] COPY {path} /") == CODE
        if is_code and name not in inputs and entry.size <= _MOST_BYTES:
            fitting[place] = (_COMMENTS[_suffix(name)], entry)
    found = _largest_text(fitting, config, copies)
    if found is not None:
        return found
    if not common:
        why = "the two Dockerfiles copy no file that is the same"
    else:
        why = f"of {plural(len(common), 'file')} that both Dockerfiles copy, none is source code alone"
    raise SplitdeckError(
        f"a change of the code cannot be measured: {why}",
        "what counts is a file of a known language that is no input of the base and no list of dependencies",
    )


def _find_list(config: Config, copies: Mapping[Target, _Copied]) -> _Editable:
    """The largest list of dependencies that base and legacy builds read."""
    row_of = StageRules().stage_of  # a row of the project's own may well be one for a part of its dependencies
    read = _read_by(copies, Target.BASE)
    lists = [
        place
        for place in read
        if row_of(f"[1/1] COPY {Path(place).name} /") in (PYTHON, OTHER_DEPS) and _line_of(place)
    ]
    common = _read_by(copies, Target.BASE, Target.LEGACY)
    found = _largest_text({p: (_line_of(p), common[p][1]) for p in lists if p in common}, config, copies)
    if found is not None:
        return found
    if lists and not any(place in common for place in lists):
        names = paths(sorted(_name_of(place, config) for place in lists))
        why = f"the base is built from {names}, which the legacy Dockerfile does not copy"
    else:
        why = "no file that the base is built from is a list of dependencies that a line can be added to"
    raise SplitdeckError(
        f"a change of dependencies cannot be measured: {why}",
        "base and legacy Dockerfile have to copy the same list (requirements.txt, pyproject.toml, package.json, …) and "
        "to install what it names",
    )


_FINDERS: Mapping[Scenario, Callable[[Config, Mapping[Target, _Copied]], _Editable]] = {
    Scenario.CODE_CHANGE: _find_code,
    Scenario.DEPS_CHANGE: _find_list,
}
"""Which file is changed in a scenario."""


def _read_by(copies: Mapping[Target, _Copied], *targets: Target) -> dict[str, tuple[str, Entry]]:
    """The files that all of these builds read, by their place: as the first calls them, and what they are."""
    first, *others = (
        {entry.place: (path, entry) for path, entry in copies[target].snapshot.entries.items() if _is_file(entry)}
        for target in targets
    )
    return {place: found for place, found in first.items() if all(place in other for other in others)}


def _largest_text(
    fitting: Mapping[str, tuple[str, Entry]], config: Config, copies: Mapping[Target, _Copied]
) -> _Editable | None:
    """The largest of files that a line can be added to, with every copy of it; None where there is none.

    Args:
        fitting: By place: what a line is made of, and what the file is.
        config: The project.
        copies: By target.
    """
    for place in sorted(fitting, key=lambda place: (-fitting[place][1].size, _name_of(place, config))):
        mine = tuple(copy.root / path for copy in copies.values() for path in _paths_of(place, copy.snapshot))
        content = mine[0].read_bytes()
        if b"\0" not in content:  # UTF-16, or no text at all
            return _Editable(_name_of(place, config), content, mine, fitting[place][0])
    return None


def _paths_of(place: str, snapshot: Snapshot) -> Iterable[str]:
    return (path for path, entry in snapshot.entries.items() if entry.place == place and _is_file(entry))


def _is_file(entry: Entry) -> bool:
    return entry.kind is Kind.FILE


def _name_of(place: str, config: Config) -> str:
    """A file as people call it: relative to the project's folder."""
    return Path(os.path.relpath(place, os.path.realpath(config.root))).as_posix()


def copy_source(config: Config, folder: Path) -> SourceCopy:
    """Copies what builds of all three images read.

    Args:
        config: The project; it has a legacy Dockerfile.
        folder: An empty one, to be removed when the copy is of no more use.

    Raises:
        SplitdeckError: If a Dockerfile makes no sense, or something cannot be read or copied.
    """
    return SourceCopy(config, {target: _copied(config, target, folder / target.value) for target in Target})


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


def _line_of(place: str) -> str:
    """What a line in a list of dependencies is made of; empty where none can be added."""
    return _LIST_LINES.get(Path(place).name.lower()) or _LIST_LINES.get(_suffix(place), "")


def _in_blanks(words: str) -> str:
    return "".join(" \t"[bit == "1"] for byte in words.encode() for bit in f"{byte:08b}")
