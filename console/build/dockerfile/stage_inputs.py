"""What a build stage takes: paths of the build context, other stages, images.

Variables are followed as BuildKit does (frontend/dockerfile/dockerfile2llb): ARG and ENV in order, the parent stage's
inherited, build arguments above defaults. What cannot be known before the build counts as everything.
"""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from console.build.dockerfile.instructions import Instruction, heredoc_of
from console.build.dockerfile.shell_words import ShellLexer, SubstitutionError, UnknownVariableError

EVERYTHING = "."
"""The whole build context."""

_PLATFORM_PARTS = ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")
_GIVEN_BY_BUILDER = ("TARGETSTAGE", *(f"{side}{part}" for side in ("BUILD", "TARGET") for part in _PLATFORM_PARTS))
_MOUNTS_WITHOUT_CONTEXT = frozenset({"cache", "secret", "ssh", "tmpfs"})
_REMOTE = re.compile(r"(?:https?|git|ssh)://|[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:")

Values = Mapping[str, "str | None"]
"""Variables and their values; None where a value cannot be known."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A build secret or an SSH agent that an instruction may ask for."""

    kind: Literal["secret", "ssh"]
    name: str
    """Its id as a pattern of fnmatch: `*` where it cannot be known before the build."""
    required: bool
    """The step fails without it."""
    line: int
    """Of the instruction."""


@dataclass(frozen=True, slots=True)
class StageInputs:
    """What the instructions of one stage take, apart from what the stage is built on."""

    paths: tuple[str, ...]
    """Paths and globs of the build context, as `Dockerfile.context_sources` gives them."""
    origins: tuple[tuple[str, Instruction], ...]
    """Every `--from`, `from=`: a stage's name or number, or an image; with the instruction that says it."""
    credentials: tuple[Credential, ...] = ()


@dataclass(slots=True)
class Scope:
    """The variables at one place of a Dockerfile."""

    escape: str
    values: dict[str, str | None]
    on_image: bool = False
    """The stage is built on an image, which may set any variable that the Dockerfile does not."""
    build_args: Mapping[str, str] = field(default_factory=dict)
    defaults: Values = field(default_factory=dict)
    """The global ARGs: what an ARG without a value takes."""

    def expand(self, text: str) -> str:
        """The text with its variables replaced, unquoted.

        Raises:
            SubstitutionError: If the engine would refuse it, or (UnknownVariableError) its value cannot be known.
        """
        return ShellLexer(self.escape).expand(text, self._lookup)

    def declare(self, instruction: Instruction) -> None:
        """Takes an ARG.

        Raises:
            SubstitutionError: If a default cannot be read.
        """
        for word in instruction.words:
            name, equals, default = word.partition("=")
            if name in self.build_args:
                self.values[name] = self.build_args[name]
            elif equals:
                self.values[name] = self._value(default)
            elif name in self.defaults:
                self.values[name] = self.defaults[name]

    def assign(self, instruction: Instruction) -> None:
        """Takes an ENV: all its values see the variables as they were before it.

        Raises:
            SubstitutionError: If a name or value cannot be read.
        """
        words = instruction.words
        pairs = [word.split("=", 1) for word in words] if "=" in words[0] else [list(words)]
        self.values.update([(self.expand(name), self._value(value)) for name, value in pairs])

    def forget(self) -> None:
        """From here on no variable's value is known."""
        self.values.clear()
        self.on_image = True

    def _value(self, text: str) -> str | None:
        try:
            return self.expand(text)
        except UnknownVariableError:
            return None

    def _lookup(self, name: str) -> str | None:
        if name not in self.values:
            if self.on_image:
                raise UnknownVariableError(name)
            return None
        value = self.values[name]
        if value is None:
            raise UnknownVariableError(name)
        return value


def global_scope(escape: str, build_args: Mapping[str, str]) -> Scope:
    """The variables before the first FROM: platform arguments, known only where a build argument says them."""
    return Scope(escape, {name: build_args.get(name) for name in _GIVEN_BY_BUILDER}, build_args=build_args)


def stage_scope(defaults: Scope, parent: Scope | None, *, scratch: bool) -> Scope:
    """The variables at a stage's FROM.

    Args:
        defaults: Those before the first FROM.
        parent: Those at the end of the stage that it is built on; None where it is built on an image.
        scratch: That image is the empty one, which sets none.
    """
    if parent is None:
        values, on_image = dict[str, "str | None"](), not scratch
    else:
        values, on_image = dict(parent.values), parent.on_image
    return Scope(defaults.escape, values, on_image, defaults.build_args, defaults.values)


def read_inputs(instructions: Sequence[Instruction], scope: Scope) -> StageInputs:
    """Follows a stage's instructions; `scope` is left as it is at the stage's end."""
    paths: dict[str, None] = {}
    origins: list[tuple[str, Instruction]] = []
    credentials: list[Credential] = []
    for instruction in instructions:
        try:
            if instruction.keyword == "ARG":
                scope.declare(instruction)
            elif instruction.keyword == "ENV":
                scope.assign(instruction)
        except SubstitutionError:
            scope.forget()  # the engine will refuse it, if it comes to build this stage at all
        if instruction.keyword in {"ADD", "COPY"}:
            origin = instruction.flag("from")
            if origin and instruction.keyword == "COPY":
                origins.append((origin, instruction))
            else:
                paths.update(dict.fromkeys(_copied(instruction, scope)))
            if instruction.keyword == "ADD" and any(map(_may_be_remote, instruction.words[:-1])):
                # BuildKit asks for these on its own (frontend/dockerfile/dockerfile2llb, source/git, source/http)
                names: tuple[tuple[Literal["secret", "ssh"], str], ...]
                names = (("secret", "GIT_AUTH_*"), ("secret", "HTTP_AUTH_*"), ("ssh", "default"))
                credentials += [Credential(kind, name, required=False, line=instruction.line) for kind, name in names]
        elif instruction.keyword == "RUN":
            for mount in _mounts(instruction):
                if mount["type"] in {"secret", "ssh"}:
                    credentials.append(_credential(mount, instruction, scope))
                origin = mount.get("from", "")
                if origin and mount["type"] in {"bind", "cache"}:
                    origins.append((origin, instruction))
                elif mount["type"] == "bind":
                    paths[_in_context(mount.get("source", ""), scope)] = None
    return StageInputs(
        (EVERYTHING,) if EVERYTHING in paths else tuple(sorted(paths)), tuple(origins), tuple(credentials)
    )


def _copied(instruction: Instruction, scope: Scope) -> Iterator[str]:
    for word in instruction.words[:-1]:
        try:
            if instruction.heredocs and heredoc_of(word) is not None:
                continue
        except SubstitutionError:
            pass
        try:
            source = scope.expand(word)
        except SubstitutionError:
            yield EVERYTHING
            continue
        if instruction.keyword == "COPY" or not _REMOTE.match(source):
            yield _cleaned(source)


def _mounts(instruction: Instruction) -> Iterator[dict[str, str]]:
    """The `--mount` flags' fields: `type` is always there, `source` under that name (its value may hold variables)."""
    for name, value in instruction.flags:
        if name != "mount":
            continue
        try:
            fields = next(csv.reader([value]), [])
        except csv.Error:
            fields = []
        mount = {"type": "bind"}
        for part in fields:
            key, _, text = part.partition("=")
            key = key.lower()
            mount["source" if key == "src" else key] = text
        kind = mount["type"].lower()
        mount["type"] = kind if kind in _MOUNTS_WITHOUT_CONTEXT else "bind"
        yield mount


def _may_be_remote(word: str) -> bool:
    return "$" in word or _REMOTE.match(word.strip("\"'")) is not None


def _credential(mount: Mapping[str, str], instruction: Instruction, scope: Scope) -> Credential:
    """What a mount asks for (dockerfile2llb/convert_secrets.go, convert_ssh.go)."""
    required = mount.get("required", "false").lower() in {"", "1", "t", "true"}
    target = mount.get("target") or mount.get("dst") or mount.get("destination") or ""
    if mount["type"] == "ssh":
        written = mount.get("id") or "default"
    else:
        written = mount.get("source") or mount.get("id") or posixpath.basename(target)
    try:
        name = scope.expand(written)
    except SubstitutionError:
        name = "*"
    return Credential("ssh" if mount["type"] == "ssh" else "secret", name, required, instruction.line)


def _in_context(text: str, scope: Scope) -> str:
    try:
        return _cleaned(scope.expand(text))
    except SubstitutionError:
        return EVERYTHING


def _cleaned(path: str) -> str:
    """Relative to the build context, which is never left: `/a/../../b/` is `b`."""
    return posixpath.normpath("/" + path).lstrip("/") or EVERYTHING
