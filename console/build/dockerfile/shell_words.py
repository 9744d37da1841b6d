"""Variables, quotes and words in a Dockerfile, as BuildKit's shell lexer sees them.

The rules are those of BuildKit's frontend/dockerfile/shell/lex.go. A variable may be set, unset, or such that its value
cannot be known from the Dockerfile (a platform argument, the base image's environment); the lookup tells which.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Lookup = Callable[[str], "str | None"]
"""Gives a variable's value, None where it is unset; raises UnknownVariableError where it cannot be known."""

WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""What Go's unicode.IsSpace takes for space; Python's isspace knows four control characters more."""
_SPACES = frozenset(WHITE_SPACE)
_SPECIAL_PARAMETERS = frozenset("@*#?-$!")
_DEEPEST = 64


class SubstitutionError(ValueError):
    """The text cannot be read: an open quote, a bad `${…}`, or a variable that `${X:?…}` demands."""


class UnknownVariableError(SubstitutionError):
    """The value of a variable cannot be known before the build."""


def nothing_set(_name: str) -> None:
    """A lookup to which every variable is unset."""
    return


@dataclass(frozen=True, slots=True)
class ShellLexer:
    """How to read a text; the fields are BuildKit's options of the same names."""

    escape: str = "\\"
    raw_quotes: bool = False
    """Keep the quotes that surround text."""
    raw_escapes: bool = False
    """Keep the escape character before what it escapes."""
    skip_unset: bool = False
    """Leave variables that are unset as they are written."""

    def expand(self, text: str, lookup: Lookup) -> str:
        """The text with its variables replaced, its quotes and escapes resolved.

        Raises:
            SubstitutionError: If the text cannot be read, or a variable cannot be known (UnknownVariableError).
        """
        return _Reader(self, text, lookup).until("", raw_escapes=self.raw_escapes)[0]

    def split(self, text: str, lookup: Lookup = nothing_set) -> list[str]:
        """The text's words, parted at spaces outside quotes after the variables are replaced.

        Raises:
            SubstitutionError: As for `expand`.
        """
        return _Reader(self, text, lookup).until("", raw_escapes=self.raw_escapes)[1]


class _Words:
    """Gathers words while a text is read."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._word = ""
        self._inside = False

    def add(self, text: str) -> None:
        """Text whose spaces part words."""
        for character in text:
            if character not in _SPACES:
                self.add_raw(character)
            elif self._inside and self._word:
                self.done.append(self._word)
                self._word, self._inside = "", False

    def add_raw(self, text: str) -> None:
        self._word += text
        self._inside = True

    def all(self) -> list[str]:
        return [*self.done, self._word] if self._word else self.done


class _Reader:
    """One pass over one text."""

    def __init__(self, lexer: ShellLexer, text: str, lookup: Lookup) -> None:
        self._lexer = lexer
        self._text = text
        self._position = 0
        self._lookup = lookup
        self._depth = 0

    def until(self, stop: str, *, raw_escapes: bool) -> tuple[str, list[str]]:
        """Reads to the stop character (to the end if empty) and past it; gives the text and its words."""
        result: list[str] = []
        words = _Words()
        while character := self._peek():
            if character == stop:
                self._position += 1
                return "".join(result), words.all()
            if character == "$":
                part = self._dollar()
                words.add(part)
            elif character in "'\"":
                part = self._single_quoted() if character == "'" else self._double_quoted(raw_escapes=raw_escapes)
                words.add_raw(part)
            elif character == "<":
                part = self._less_than()
                words.add_raw(part)
            elif character == self._lexer.escape:
                self._position += 1
                part = self._next()
                if raw_escapes:
                    part = character + part
                words.add_raw(part)
            else:
                part = self._next()
                words.add(part)
            result.append(part)
        if stop:
            raise SubstitutionError(f"a '{stop}' is missing")
        return "".join(result), words.all()

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _next(self) -> str:
        character = self._peek()
        self._position += 1
        return character

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._position + 1)
        if end < 0:
            raise SubstitutionError("a single quote is not closed")
        text = self._text[self._position : end + 1]
        self._position = end + 1
        return text if self._lexer.raw_quotes else text[1:-1]

    def _double_quoted(self, *, raw_escapes: bool) -> str:
        self._position += 1
        result: list[str] = []
        while character := self._peek():
            if character == '"':
                self._position += 1
                text = "".join(result)
                return f'"{text}"' if self._lexer.raw_quotes else text
            if character == "$":
                result.append(self._dollar())
                continue
            self._position += 1
            if character == self._lexer.escape:
                if raw_escapes:
                    result.append(character)
                if not self._peek():
                    break
                if self._peek() in {'"', "$", self._lexer.escape}:
                    character = self._next()
            result.append(character)
        raise SubstitutionError("a double quote is not closed")

    def _less_than(self) -> str:
        """`<<` takes the spaces that follow into its word: `<< EOF` begins a heredoc too."""
        start = self._position
        self._position += 1
        if self._peek() == "<":
            self._position += 1
            while self._peek() in _SPACES:
                self._position += 1
        return self._text[start : self._position]

    def _dollar(self) -> str:
        self._position += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._lookup(name)
            if value is None:
                return f"${name}" if self._lexer.skip_unset else ""
            return value
        self._position += 1
        if self._peek() in {"", "{", "}", ":"}:
            raise SubstitutionError("a '${' has no variable's name after it")
        name = self._name()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise SubstitutionError("too many '${' within each other")
        try:
            return self._braced(name)
        finally:
            self._depth -= 1

    def _braced(self, name: str) -> str:
        """What follows the name in `${name…}`."""
        form = self._next()
        if form == "}":
            value = self._lookup(name)
            return (f"${{{name}}}" if self._lexer.skip_unset else "") if value is None else value
        if form == "/":
            return self._replaced(name)
        null_is_unset = form == ":"
        operator = self._next() if null_is_unset else form
        if not operator or operator not in "+-?#%":
            raise SubstitutionError(f"'${{{name}{form}…}}' is not supported")
        word = self.until("}", raw_escapes=operator in "#%")[0]
        value = self._lookup(name)
        if value is None and self._lexer.skip_unset:
            return f"${{{name}{form if form == operator else form + operator}{word}}}"
        absent = value is None or (null_is_unset and not value)
        if operator == "+":
            return "" if absent else word
        if operator == "-":
            return word if absent or value is None else value
        if operator == "?":
            if absent or value is None:
                raise SubstitutionError(f"{name}: {word or 'a value is required'}")
            return value
        longest = word.startswith(operator)
        return _trimmed(value or "", word[longest:], suffix=operator == "%", longest=longest)

    def _replaced(self, name: str) -> str:
        """`${name/pattern/replacement}`, or all occurrences with `//`."""
        everywhere = self._peek() == "/"
        self._position += everywhere
        pattern = self.until("/", raw_escapes=True)[0]
        replacement = self.until("}", raw_escapes=True)[0]
        value = self._lookup(name)
        if value is None and self._lexer.skip_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        tokens = _glob(pattern)
        value, result, position = value or "", "", 0
        while position <= len(value):
            ends = _ends(tokens, value[position:])
            if ends:
                result += replacement
                position += ends[-1]
                if not everywhere:
                    break
            if not ends or not ends[-1]:
                result += value[position : position + 1]
                position += 1
        return result + value[position:]

    def _name(self) -> str:
        """A variable's name, or one of the shell's special parameters; empty where neither follows."""
        start = self._position
        if self._peek().isdecimal():
            while self._peek().isdecimal():
                self._position += 1
        elif self._peek() in _SPECIAL_PARAMETERS:
            self._position += 1
        else:
            while self._peek().isalpha() or self._peek().isdecimal() or self._peek() == "_":
                self._position += 1
        return self._text[start : self._position]


_ANY_TEXT = ""
_ANY_CHARACTER = "??"


def _glob(pattern: str) -> list[str]:
    """A shell pattern's tokens: single characters, `?` and `*`."""
    tokens: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            tokens.append(_ANY_TEXT)
        elif character == "?":
            tokens.append(_ANY_CHARACTER)
        elif character == "\\":
            following = pattern[position : position + 1]
            if following not in {"*", "?", "\\", "}", "/"}:
                raise SubstitutionError(f"'\\{following}' means nothing in a pattern")
            tokens.append(following)
            position += 1
        else:
            tokens.append(character)
    return tokens


def _ends(tokens: Sequence[str], value: str) -> list[int]:
    """Every length of a beginning of `value` that the pattern matches, shortest first."""

    def passing(states: set[int]) -> set[int]:
        """The states, and those behind a `*` that matches nothing."""
        result = set(states)
        for state in sorted(states):
            while state < len(tokens) and tokens[state] == _ANY_TEXT:
                state += 1
                result.add(state)
        return result

    states = passing({0})
    ends = [0] if len(tokens) in states else []
    for length, character in enumerate(value, start=1):
        following = set()
        for state in states:
            if state == len(tokens):
                continue
            if tokens[state] == _ANY_TEXT:
                following.add(state)
            elif tokens[state] in {_ANY_CHARACTER, character}:
                following.add(state + 1)
        states = passing(following)
        if not states:
            break
        if len(tokens) in states:
            ends.append(length)
    return ends


def _trimmed(value: str, pattern: str, *, suffix: bool, longest: bool) -> str:
    """`value` without the shortest or longest beginning, or end, that the pattern matches."""
    tokens = _glob(pattern)
    ends = _ends(tokens[::-1], value[::-1]) if suffix else _ends(tokens, value)
    if not ends:
        return value
    length = ends[-1] if longest else ends[0]
    return value[: len(value) - length] if suffix else value[length:]
