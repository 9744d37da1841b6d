"""The lexer against BuildKit's tables (frontend/dockerfile/shell: envVarTest, wordsTest, lex_test.go)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.dockerfile.shell_words import ShellLexer, SubstitutionError, UnknownVariableError

ENVIRONMENT = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": ""}

# envVarTest: what is written, what comes out; None where it is an error
EXPANSIONS: list[tuple[str, str | None]] = [
    ("hello", "hello"),
    ("he'll'o", "hello"),
    ("he'llo", None),
    ("he\\'llo", "he'llo"),
    ("he\\\\'llo", None),
    ("abc\\tdef", "abctdef"),
    ('"abc\\tdef"', "abc\\tdef"),
    ('"abc\\\\tdef"', "abc\\tdef"),
    ("'abc\\tdef'", "abc\\tdef"),
    ("hello\\", "hello"),
    ("hello\\\\", "hello\\"),
    ('"hello', None),
    ('"hello\\"', None),
    ('"hel\'lo"', "hel'lo"),
    ("'hello\\'", "hello\\"),
    ("'hello\\there'", "hello\\there"),
    ("\"''\"", "''"),
    ("$.", "$."),
    ("he$1x", "hex"),
    ("he$.x", "he$.x"),
    ("he$pwd.", "he."),
    ("he$PWD", "he/home"),
    ("he\\$PWD", "he$PWD"),
    ("he\\\\$PWD", "he\\/home"),
    ('"he\\$PWD"', "he$PWD"),
    ("\\${}aaa", "${}aaa"),
    ("he${}xx", None),
    ("he${hi}xx", "hexx"),
    ("he${PWD}", "he/home"),
    ("he${.}", None),
    ("he${XXX:-000}xx", "he000xx"),
    ("he${PWD:-000}xx", "he/homexx"),
    ("he${XXX:-${PWD:-yyy}}xx", "he/homexx"),
    ("he${XXX:-${YYY:-yyy}}xx", "heyyyxx"),
    ("he${XXX:YYY}", None),
    ("he${XXX?}", None),
    ("he${XXX:?}", None),
    ("he${PWD:?}", "he/home"),
    ("he${NULL?}", "he"),
    ("he${NULL:?}", None),
    ("he${XXX:+${PWD}}xx", "hexx"),
    ("he${PWD:+${SHELL}}xx", "hebashxx"),
    ("he${NULL:+000}xx", "hexx"),
    ("he${NULL+000}xx", "he000xx"),
    ("he${NULL-000}xx", "hexx"),
    ("'he${XX}'", "he${XX}"),
    ("\"he'$PWD'\"", "he'/home'"),
    ("'$PWD'", "$PWD"),
    ("he${PWD", None),
    ("he${PWD:=000}xx", None),
    ("he${PWD:+${PWD}:}xx", "he/home:xx"),
    ("he${XXX:-\\$PWD:}xx", "he$PWD:xx"),
    ("안녕${KOREAN}", "안녕한국어"),
    ("$", "$"),
    ("${", None),
    ("a<<  b < c", "a<<  b < c"),
]


@pytest.mark.parametrize(("written", "result"), EXPANSIONS)
def test_variables_and_quotes(written: str, result: str | None) -> None:
    if result is None:
        with pytest.raises(SubstitutionError):
            ShellLexer().expand(written, ENVIRONMENT.get)
    else:
        assert ShellLexer().expand(written, ENVIRONMENT.get) == result


@pytest.mark.parametrize(
    ("written", "value", "result"),
    [
        ("${X#*x*y}", "xxyy", "y"),
        ("${X#*}", "xxyy", "xxyy"),
        ("${X#$Y}", "xxyy", "yy"),
        ("${X##*x}", "xxyy", "yy"),
        ("${X##}", "xxyy", "xxyy"),
        ("${X#?\\?}", "???y", "?y"),
        ("${X%x}", "xxyy", "xxyy"),
        ("${X%y}", "xxyy", "xxy"),
        ("${X%%\\**\\*}", "a***yy*", "a"),
        ("${X%.*}", "a.tar.gz", "a.tar"),
        ("${X%%.*}", "a.tar.gz", "a"),
        ("${X#()[]{\\}^$.\\*\\?|\\\\}", "()[]{}^$.*?|\\x", "x"),
        ("${X/b?/-}", "abcabc", "a-abc"),
        ("${X//b?/-}", "abcabc", "a-a-"),
        ("${X//\\//-}", "/tmp/foo", "-tmp-foo"),
        ("${X/$Y/}", "xx-xx", "-xx"),
        ("${X///}", "xxyy", "xxyy"),
        ("${X//}", "xxyy", None),
        ("${X#\\q}", "xxyy", None),
    ],
)
def test_patterns_within_a_variable(written: str, value: str, result: str | None) -> None:
    lookup = {"X": value, "Y": "xx"}.get
    if result is None:
        with pytest.raises(SubstitutionError):
            ShellLexer().expand(written, lookup)
    else:
        assert ShellLexer().expand(written, lookup) == result


@pytest.mark.parametrize(
    ("lexer", "text", "words"),
    [
        (ShellLexer(), "hello ${hi} there", ["hello", "there"]),
        (ShellLexer(), "hello ${two} there", ["hello", "a", "b", "there"]),
        (ShellLexer(), 'hello "${two}" there', ["hello", "a b", "there"]),
        (ShellLexer(), "hello\\ there 'one two'", ["hello there", "one two"]),
        (ShellLexer(escape="`"), "a` b c\\d", ["a b", "c\\d"]),
        (ShellLexer(raw_quotes=True), "'a b' \"c\"", ["'a b'", '"c"']),
        (ShellLexer(raw_escapes=True), "a\\ b", ["a\\ b"]),
        (
            ShellLexer(skip_unset=True),
            "$no ${no} ${no:-x} ${no#y} ${no/a/b}",
            ["$no", "${no}", "${no:-x}", "${no#y}", "${no/a/b}"],
        ),
        (ShellLexer(), "cat <<  EOF >out", ["cat", "<<  EOF", ">out"]),
    ],
)
def test_words(lexer: ShellLexer, text: str, words: list[str]) -> None:
    assert lexer.split(text, {"two": "a b"}.get) == words


def test_a_variable_that_cannot_be_known_is_told_apart() -> None:
    def lookup(name: str) -> str | None:
        raise UnknownVariableError(name)

    for text in ("$X", "${X:-d}", "${X+d}", "${X#a}", "${X/a/b}"):
        with pytest.raises(UnknownVariableError):
            ShellLexer().expand(text, lookup)
    assert ShellLexer().expand("'$X'", lookup) == "$X"


@given(st.text("$${{}}:-+?#%/\\'\"`<aX *", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for lexer in (ShellLexer(), ShellLexer("`", raw_quotes=True, raw_escapes=True, skip_unset=True)):
        try:
            lexer.split(text, {"X": "aaXX"}.get)
        except SubstitutionError:
            continue


def test_deep_nesting_and_long_patterns_end_soon() -> None:
    with pytest.raises(SubstitutionError):
        ShellLexer().expand("${a:-" * 100_000, ENVIRONMENT.get)
    assert ShellLexer().expand("${X#" + "*a" * 30 + "b}", {"X": "a" * 200}.get) == "a" * 200
