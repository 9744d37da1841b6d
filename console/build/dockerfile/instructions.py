"""A Dockerfile's text as instructions: directives, comments, continuations, heredocs, flags, words.

The rules are those of BuildKit's frontend/dockerfile/parser and the argument checks of its `instructions` package.
What an instruction means for a stage is no concern of this module.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from console.build.dockerfile.shell_words import WHITE_SPACE, ShellLexer, SubstitutionError
from console.errors import DockerfileError

KEYWORDS = (
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
    "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
)  # fmt: skip

_JSON_OR_TEXT = frozenset({"CMD", "ENTRYPOINT", "RUN", "SHELL"})
_JSON_OR_WORDS = frozenset({"ADD", "COPY", "VOLUME"})
_SPACED_WORDS = frozenset({"EXPOSE", "FROM"})
_ASSIGNMENTS = frozenset({"ENV", "LABEL"})
_ONE_TEXT = frozenset({"MAINTAINER", "STOPSIGNAL", "USER", "WORKDIR"})
_WITH_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_NEVER_TRIGGERED = frozenset({"FROM", "MAINTAINER", "ONBUILD"})

_SPACES = re.compile(r"[\t\v\f\r ]+")
_DIRECTIVE = re.compile(r"#[\t\n\f\r ]*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*")
_DIRECTIVES = frozenset({"check", "escape", "syntax"})
_HEREDOC = re.compile(r"[0-9]*<<(-?)[\t\n\f\r ]*([^<]*)", re.DOTALL)
_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*")
_REFERENCE = "https://docs.docker.com/reference/dockerfile/"


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A document that stands in the Dockerfile itself."""

    name: str
    content: str
    """As written, with line ends; where `chomp` is set its leading tabs are the engine's to remove."""
    expand: bool
    """Variables in it are replaced: no part of its name was quoted."""
    chomp: bool
    """Written as `<<-`."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile."""

    line: int
    """Where it begins, 1-based."""
    end_line: int
    """Where it ends, heredocs included."""
    keyword: str
    """In upper case."""
    arguments: str
    """What follows keyword and flags, continuations joined."""
    flags: tuple[tuple[str, str], ...]
    """Name without dashes, and value; `true` for a flag without one."""
    words: tuple[str, ...]
    """The arguments apart, neither unquoted nor with variables replaced (the old `ENV name value` gives these two)."""
    json_form: bool
    heredocs: tuple[Heredoc, ...]
    stage: int
    """Index of its stage; -1 before the first FROM."""
    text: str
    """The whole instruction, continuations joined: what the engine shows as the step's name."""
    trigger: Instruction | None = None
    """What an ONBUILD will run in the stages that build on this one."""

    def flag(self, name: str) -> str:
        """A flag's value, empty where it is not given; the last one if given repeatedly."""
        return dict(self.flags).get(name, "")


@dataclass(frozen=True, slots=True)
class Source:
    """A Dockerfile, read but not yet understood."""

    instructions: tuple[Instruction, ...]
    escape: str
    syntax: str
    """The frontend that `# syntax=` asks for; empty for the engine's own."""


def read_instructions(text: str, path: str) -> Source:
    """Reads a Dockerfile's text.

    Raises:
        DockerfileError: If the engine would refuse it; names file and line.
    """
    return _Parser(text, path).parse()


def heredoc_of(word: str) -> Heredoc | None:
    """The heredoc that a word such as `<<EOF` begins, without content.

    Raises:
        SubstitutionError: If its name is badly quoted.
    """
    match = _HEREDOC.fullmatch(word)
    if match is None or not match[2]:
        return None
    names = ShellLexer(skip_unset=True).split(match[2])
    if len(names) != 1:
        return None
    written = ShellLexer(skip_unset=True, raw_quotes=True).split(match[2])
    quoted = sum(map("".join(written).count, "'\"")) != sum(map(names[0].count, "'\""))
    return Heredoc(names[0], "", expand=not quoted, chomp=bool(match[1]))


class _Parser:
    """One pass over one Dockerfile."""

    def __init__(self, text: str, path: str) -> None:
        self._lines = text.removeprefix("\ufeff").split("\n")
        if not self._lines[-1]:
            self._lines.pop()
        self._path = path
        self._next = 0
        self._stage = -1
        self._directives: dict[str, str] | None = {}
        self._escape = "\\"
        self._syntax = _syntax_of(self._lines)

    def parse(self) -> Source:
        instructions = []
        while self._next < len(self._lines):
            start = self._next + 1
            text, ended = self._trimmed(self._line().lstrip(WHITE_SPACE))
            if ended and not text:
                continue
            while not ended and self._next < len(self._lines):
                continuation = self._line()
                if continuation.strip(WHITE_SPACE) and not continuation.lstrip(WHITE_SPACE).startswith("#"):
                    part, ended = self._trimmed(continuation)
                    text += part
            instructions.append(self._instruction(text, start))
        if not instructions:
            raise DockerfileError(f"{self._path} holds no instructions", "a Dockerfile begins with FROM", line=0)
        return Source(tuple(instructions), self._escape, self._syntax)

    def _error(self, line: int, message: str, hint: str = "") -> DockerfileError:
        return DockerfileError(f"{self._path}:{line}: {message}", hint or f"see {_REFERENCE}", line=line)

    def _line(self) -> str:
        """The next line without its end; may be a parser directive."""
        line = self._lines[self._next].rstrip("\r\n")
        self._next += 1
        if self._directives is not None:
            self._read_directive(line.lstrip(WHITE_SPACE))
        return line

    def _read_directive(self, line: str) -> None:
        """Directives are comments before anything else, comments included."""
        match = _DIRECTIVE.fullmatch(line)
        if self._directives is None or match is None or match[1].lower() not in _DIRECTIVES:
            self._directives = None
            return
        name, value = match[1].lower(), match[2]
        if name in self._directives:
            raise self._error(
                self._next, f"the directive '{name}' stands here for the second time", "remove one of them"
            )
        self._directives[name] = value
        if name == "escape":
            if value not in {"\\", "`"}:
                raise self._error(self._next, f"the escape character cannot be {value!r}", "it is either \\ or `")
            self._escape = value

    def _trimmed(self, line: str) -> tuple[str, bool]:
        """A line without comment and continuation character, and whether the instruction ends with it."""
        if line.lstrip(WHITE_SPACE).startswith("#"):
            return "", True
        bare = line.rstrip(" \t")
        if bare.endswith(self._escape) and not bare.endswith(self._escape * 2):
            return bare[:-1], False
        return line, True

    def _instruction(self, text: str, line: int) -> Instruction:
        instruction = self._split(text, line)
        if instruction.keyword == "FROM":
            self._stage += 1
        holder = instruction.trigger or instruction
        heredocs: tuple[Heredoc, ...] = ()
        if holder.keyword in _WITH_HEREDOCS and not holder.json_form and "<<" in text:
            heredocs = self._heredocs(text, line)
        trigger = instruction.trigger
        if trigger is not None:
            trigger = replace(trigger, end_line=self._next, heredocs=heredocs, stage=self._stage)
        return replace(instruction, end_line=self._next, heredocs=heredocs, stage=self._stage, trigger=trigger)

    def _heredocs(self, text: str, line: int) -> tuple[Heredoc, ...]:
        try:
            words = ShellLexer(raw_quotes=True, raw_escapes=True, skip_unset=True).split(text)
        except SubstitutionError:
            return ()  # an open quote: the shell's business
        found = []
        for word in words:
            try:
                heredoc = heredoc_of(word)
            except SubstitutionError as error:
                raise self._error(line, f"the heredoc {word} cannot be read: {error}") from None
            if heredoc is None:
                continue
            end = self._end_of(heredoc)
            if end is None:
                if word.partition("<<")[2].lstrip("-")[:1].isspace():
                    continue  # `1 << 2` is arithmetic, and older engines know no space before the name
                message = f"the heredoc {word} has no end"
                raise self._error(line, message, f"end it with a line that holds nothing but {heredoc.name}")
            content = "".join(f"{content}\n" for content in self._lines[self._next : end])
            found.append(replace(heredoc, content=content))
            self._next = end + 1
        return tuple(found)

    def _end_of(self, heredoc: Heredoc) -> int | None:
        """Index of the line that ends it."""
        for index in range(self._next, len(self._lines)):
            line = self._lines[index].rstrip("\r\n")
            if (line.lstrip("\t") if heredoc.chomp else line) == heredoc.name:
                return index
        return None

    def _split(self, text: str, line: int) -> Instruction:
        """One instruction without its heredocs."""
        keyword, *rest = _SPACES.split(text.strip(WHITE_SPACE), maxsplit=1)
        keyword = keyword.upper()
        if keyword not in KEYWORDS:
            near = difflib.get_close_matches(keyword, KEYWORDS, n=1)
            hint = f"did you mean {near[0]}?" if near else "is a \\ missing at the end of the line before?"
            raise self._error(line, f"{keyword or 'a lone continuation'} is not an instruction", hint)
        flags, arguments = _split_flags(rest[0] if rest else "")
        words, json_form = self._words(keyword, arguments, line)
        self._check(keyword, words, line, json_form=json_form)
        trigger = None
        if keyword == "ONBUILD":
            triggered = _SPACES.split(arguments, maxsplit=1)[0].upper()
            if triggered in _NEVER_TRIGGERED:
                raise self._error(line, f"ONBUILD cannot trigger {triggered}")
            # what is wrong in it nobody notices before a stage is built on this one
            with suppress(DockerfileError):
                trigger = self._split(arguments, line)
        return Instruction(
            line, line, keyword, arguments, flags, words, json_form, (), self._stage, text.strip(WHITE_SPACE), trigger
        )

    def _words(self, keyword: str, arguments: str, line: int) -> tuple[tuple[str, ...], bool]:
        command = arguments
        if keyword == "HEALTHCHECK":
            command = arguments[len(arguments.split(maxsplit=1)[0]) :].lstrip(WHITE_SPACE) if arguments else ""
        if (keyword in _JSON_OR_TEXT | _JSON_OR_WORDS or keyword == "HEALTHCHECK") and command.startswith("["):
            try:
                items = json.loads(command, parse_constant=_no_json)
            except (ValueError, RecursionError):
                items = None  # not JSON: taken as text, as the engine does
            if isinstance(items, list):
                if not all(isinstance(item, str) for item in items):
                    raise self._error(line, f"the list after {keyword} holds something other than strings")
                strings = tuple(item.encode("utf-8", "replace").decode() for item in items)
                first = (arguments.split(maxsplit=1)[0],) if keyword == "HEALTHCHECK" else ()
                return first + strings, True
        if not arguments:
            return (), False
        if keyword in _SPACED_WORDS | _JSON_OR_WORDS:
            return tuple(_SPACES.split(arguments)), False
        if keyword in _ONE_TEXT:
            return (arguments,), False
        words = quoted_words(arguments, self._escape)
        if keyword in _ASSIGNMENTS and words and "=" not in words[0]:
            return tuple(_SPACES.split(arguments, maxsplit=1)), False
        return words, False

    def _check(self, keyword: str, words: tuple[str, ...], line: int, *, json_form: bool) -> None:
        """The engine's own checks of an instruction's arguments."""
        if not words and keyword not in {"CMD", "ENTRYPOINT", "RUN"}:
            raise self._error(line, f"{keyword} needs an argument")
        if self._stage < 0 and keyword not in {"ARG", "FROM"}:
            raise self._error(line, f"{keyword} stands before the first FROM", "only ARG may stand before FROM")
        if keyword == "FROM":
            if len(words) != 1 and not (len(words) == 3 and words[1].upper() == "AS"):
                raise self._error(line, "FROM takes an image, or an image AS a name", "FROM image [AS name]")
            if len(words) == 3 and not _STAGE_NAME.fullmatch(words[2].lower()):
                hint = "it begins with a letter; letters, digits, '-', '_' and '.' may follow"
                raise self._error(line, f"a stage cannot be named {words[2]!r}", hint)
        elif keyword in {"ADD", "COPY"} and len(words) < 2:
            raise self._error(line, f"{keyword} needs a source and a destination", f"{keyword} <source>… <destination>")
        elif keyword == "SHELL" and not json_form:
            raise self._error(line, "SHELL takes a JSON list", 'such as SHELL ["/bin/bash", "-c"]')
        elif keyword == "HEALTHCHECK" and words[0].upper() not in {"CMD", "NONE"}:
            raise self._error(
                line, f"HEALTHCHECK knows no {words[0]}", "HEALTHCHECK CMD <command>, or HEALTHCHECK NONE"
            )
        elif keyword == "ARG" and any(word.startswith("=") for word in words):
            raise self._error(line, "an ARG has no name")
        elif keyword in _ASSIGNMENTS:
            self._check_assignments(keyword, words, line)

    def _check_assignments(self, keyword: str, words: tuple[str, ...], line: int) -> None:
        if "=" not in words[0]:
            if len(words) < 2:
                raise self._error(line, f"{keyword} {words[0]} has no value", f"{keyword} {words[0]}=<value>")
            return
        for word in words:
            if "=" not in word:
                hint = "quote a value that holds spaces"
                raise self._error(line, f"{keyword} takes name=value, and {word!r} has no '='", hint)
            if word.startswith("="):
                raise self._error(line, f"in {keyword} a name is missing before {word!r}")


def _syntax_of(lines: Sequence[str]) -> str:
    """The frontend that is asked for: among the directives, which here may follow a shebang."""
    for line in lines[1:] if lines and lines[0].startswith("#!") else lines:
        match = _DIRECTIVE.fullmatch(line)
        if match is None or match[1].lower() not in _DIRECTIVES:
            break
        if match[1].lower() == "syntax":
            return match[2].partition(" ")[0]
    return ""


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is Python's, not JSON")


def _split_flags(rest: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """The leading `--name[=value]` words, unquoted, and what follows them; `--` ends them."""
    flags: list[tuple[str, str]] = []
    position = 0
    while True:
        while position < len(rest) and rest[position] in WHITE_SPACE:
            position += 1
        if not rest.startswith("--", position):
            return tuple(flags), rest[position:].strip(WHITE_SPACE)
        word, quote = "", ""
        while position < len(rest) and (quote or rest[position] not in WHITE_SPACE):
            character = rest[position]
            position += 1
            if character == "\\":
                word += rest[position : position + 1]
                position += 1
            elif character == quote:
                quote = ""
            elif not quote and character in "'\"":
                quote = character
            else:
                word += character
        if word == "--":
            return tuple(flags), rest[position:].strip(WHITE_SPACE)
        name, equals, value = word[2:].partition("=")
        flags.append((name, value if equals else "true"))


def quoted_words(text: str, escape: str) -> tuple[str, ...]:
    """The words of a text, parted at spaces outside quotes; quotes and escapes stay (BuildKit's parseWords)."""
    words: list[str] = []
    word, quote = "", ""
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if not quote and character in WHITE_SPACE:
            if word:
                words.append(word)
            word = ""
            continue
        if character == escape and quote != "'":
            if position == len(text):
                break
            character += text[position]
            position += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        word += character
    if word:
        words.append(word)
    return tuple(words)
