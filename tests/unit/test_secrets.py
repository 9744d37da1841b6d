"""Build secrets: read at the moment they are needed, and kept out of what people see."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.request import SecretSource
from console.build.secrets import LARGEST_BYTES, RedactedLines, read_secret, redactor
from console.build.trace.lines import OutputLines
from console.errors import BuildError


def test_from_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_bytes(b"\xff\x00secret\n")
    monkeypatch.setenv("TOKEN", "naïve")
    assert read_secret("a", SecretSource(file=str(tmp_path / "token"))) == b"\xff\x00secret\n"
    assert read_secret("b", SecretSource(env="TOKEN")) == "naïve".encode()


def test_what_is_missing_is_said_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    with pytest.raises(BuildError, match="build secret npm: the variable TOKEN is not set"):
        read_secret("npm", SecretSource(env="TOKEN"))
    with pytest.raises(BuildError, match=r"cannot read .*nothere: No such file"):
        read_secret("npm", SecretSource(file=str(tmp_path / "nothere")))
    (tmp_path / "large").write_bytes(bytes(LARGEST_BYTES + 1))
    with pytest.raises(BuildError, match="builders take no more than 512000"):
        read_secret("npm", SecretSource(file=str(tmp_path / "large")))


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=4), st.text(), st.text())
def test_a_secret_never_comes_through(secret: str, before: str, after: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKEN", secret)
        redact = redactor({"t": SecretSource(env="TOKEN")})
    if len(secret.strip().encode()) < 4 or secret in "***":
        return
    encoded = base64.b64encode(secret.encode()).decode()
    for shown in (secret, encoded, quote(secret, safe="")):
        assert shown not in redact(f"{before}{shown}{after}") or shown in before + "***" + after


def test_lines_and_values_of_a_file_of_credentials(tmp_path: Path) -> None:
    (tmp_path / "npmrc").write_text("//registry/:_authToken=abcdefgh12345\nuser = someone-long\nretries=3\n")
    redact = redactor({"npmrc": SecretSource(file=str(tmp_path / "npmrc"))})
    assert redact("token abcdefgh12345, user someone-long, retries 3") == "token ***, user ***, retries 3"


def test_without_secrets_nothing_is_touched() -> None:
    assert redactor({})("anything") == "anything"


def hidden(monkeypatch: pytest.MonkeyPatch, secret: str, text: str) -> str:
    monkeypatch.setenv("TOKEN", secret)
    return redactor({"t": SecretSource(env="TOKEN")})(text)


@pytest.mark.timeout(10)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BuildError, match="is no regular file") as caught:
        read_secret("npm", SecretSource(file=str(tmp_path / "pipe")))
    assert "put the secret into a file or a variable" in caught.value.hint


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("user\nhunt2r7\n", "it is hunt2r7", "it is ***"),
        ('{\n "token": "tok-abcdef-123456",\n "n": 1\n}', "tok-abcdef-123456 token", "*** token"),
        ('{"password": "a b c d", "x": 1}', "is a b c d", "is ***"),
        ("machine example.com\nlogin bob\npassword Zz9-verysecret\n", "Zz9-verysecret of machine", "*** of machine"),
        ("machine example.com login bob password sunflower\nx", "is sunflower", "is ***"),
        (
            '{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpodW50ZXIy"}}}',
            "dXNlcjpodW50ZXIy auths",
            "*** auths",
        ),
        ("https://bob:sesame@git.example.com\nx", "sesame at git.example.com", "*** at git.example.com"),
        (
            "url=https://hooks.example.com/services/T0/B0/XyZ12345abc\nx",
            "in services/T0/B0/XyZ12345abc",
            "in services/T0/B0/***",
        ),
    ],
)
def test_what_stands_in_files_of_credentials(
    monkeypatch: pytest.MonkeyPatch, secret: str, text: str, shown: str
) -> None:
    assert hidden(monkeypatch, secret, text) == shown


def test_what_is_plainly_no_secret_stays_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    npmrc = (
        "registry=https://registry.npmjs.org/\n//registry.npmjs.org/:_authToken=npm_abcdEFGH1234\nalways-auth=true\n"
    )
    text = "GET https://registry.npmjs.org/left-pad: true, always-auth, registry; npm_abcdEFGH1234"
    assert hidden(monkeypatch, npmrc, text) == text.replace("npm_abcdEFGH1234", "***")


@pytest.mark.parametrize(
    "quoted", ["'it'\"'\"'s a $ecret'", "'it'\\''s a $ecret'", '"it\'s a $ecret"', "$'it\\'s a $ecret'"]
)
def test_a_secret_that_a_shell_quotes(monkeypatch: pytest.MonkeyPatch, quoted: str) -> None:
    assert "$ecret" not in hidden(monkeypatch, "it's a $ecret", f"+ echo {quoted}")


def test_a_secret_in_json_s_own_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hidden(monkeypatch, 'a "quoted" na\u00efve', r'{"t": "a \"quoted\" na\u00efve"}') == '{"t": "***"}'


def test_secrets_that_overlap_are_hidden_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE", "abcdefgh")
    monkeypatch.setenv("TWO", "ghijklmn")
    assert redactor({"a": SecretSource(env="ONE"), "b": SecretSource(env="TWO")})("<abcdefghijklmn>") == "<***>"


@pytest.mark.parametrize("place", [65_530, 65_536 - 16, 65_535, 131_066, 196_600])
def test_a_secret_at_the_cut_of_a_long_line_is_hidden(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    secret = "hunter2-Hunter2-x"
    monkeypatch.setenv("TOKEN", secret)
    lines = RedactedLines(redactor({"t": SecretSource(env="TOKEN")}))
    output = OutputLines()
    text = "." * place + secret + "." * 70_000
    pieces = [*output.feed(text.encode()), *output.end(), "next"]
    shown = [line for piece in pieces for line in lines.take(piece)] + lines.end()
    assert "".join(shown) == text.replace(secret, "***") + "next"
    assert lines.end() == []
