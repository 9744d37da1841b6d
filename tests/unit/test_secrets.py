"""Build secrets: read at the moment they are needed, and kept out of what people see."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build.request import SecretSource
from console.build.secrets import LARGEST_BYTES, read_secret, redactor
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
