"""What `docker login` leaves, found as the Docker CLI finds it: real config files, and real helpers on PATH."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console import credential_helper
from console.credentials import Credentials, CredentialsError, find_credentials

HUB = "https://index.docker.io/v1/"
SOON_S = 20.0


class Login:
    """A folder for DOCKER_CONFIG, and one on PATH for helpers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def config(self, **values: Any) -> None:
        (self.folder / "config.json").write_text(json.dumps(values))

    def helper(self, name: str, script: str) -> None:
        """A credential helper, which finds the registry that it is asked for in `$server`, its verb in `$1`."""
        path = self.folder / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\nserver=$(cat)\n{script}\n")
        path.chmod(0o755)

    def keeps(self, name: str, **secrets: str) -> None:
        """A helper that keeps secrets of the user `kept`, by registry with `_` for `.`."""
        cases = "\n".join(
            f"{server.replace('_', '.')}) echo '{json.dumps({'Username': 'kept', 'Secret': secret})}';;"
            for server, secret in secrets.items()
        )
        nothing = "*) echo credentials not found in native keychain; exit 1;;"
        self.helper(name, f'[ "$1" = get ] || exit 9\ncase "$server" in\n{cases}\n{nothing}\nesac')


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Login(tmp_path)


def basic(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_nobody_ever_logged_in(login: Login) -> None:
    assert find_credentials("r.example.org") is None
    login.config()
    assert find_credentials("r.example.org") is None
    (login.folder / "config.json").write_text("")
    assert find_credentials("r.example.org") is None


@pytest.mark.parametrize("name", ["r.example.org", "https://r.example.org", "http://r.example.org/v2/"])
def test_a_password_in_the_file(login: Login, name: str) -> None:
    login.config(auths={name: basic("me", "pass:word"), "other.example.org": basic("you", "x")})
    assert find_credentials("r.example.org") == Credentials("me", "pass:word")
    assert find_credentials("third.example.org") is None
    assert find_credentials("example.org") is None


def test_a_port_belongs_to_the_name(login: Login) -> None:
    login.config(auths={"localhost:5000": basic("me", "five"), "localhost:6000": basic("me", "six")})
    assert find_credentials("localhost:6000") == Credentials("me", "six")
    assert find_credentials("localhost") is None


def test_an_identity_token_has_no_user(login: Login) -> None:
    login.config(auths={"r.example.org": {**basic("me", "old"), "identitytoken": "token"}})
    assert find_credentials("r.example.org") == Credentials("", "token")


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("name", [HUB, "index.docker.io", "https://index.docker.io"])
def test_the_hub_has_several_names(login: Login, host: str, name: str) -> None:
    login.config(auths={name: basic("me", "hub"), "r.example.org": basic("me", "x")})
    assert find_credentials(host) == Credentials("me", "hub")


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize("name", [HUB, "docker.io", "index.docker.io"])
def test_a_helper_for_the_hub_is_asked_by_its_old_name(login: Login, host: str, name: str) -> None:
    login.helper("echo", 'echo "{\\"Username\\": \\"me\\", \\"Secret\\": \\"$1 $server\\"}"')
    login.config(credHelpers={name: "echo"})
    assert find_credentials(host) == Credentials("me", f"get {HUB}")


def test_a_helper_for_one_registry_goes_before_the_one_for_all(login: Login) -> None:
    login.keeps("one", r_example_org="one")
    login.keeps("all", r_example_org="all", s_example_org="all")
    login.config(credsStore="all", credHelpers={"r.example.org": "one"}, auths={"s.example.org": {}})
    assert find_credentials("r.example.org") == Credentials("kept", "one")
    assert find_credentials("s.example.org") == Credentials("kept", "all")
    assert find_credentials("t.example.org") is None


def test_what_a_helper_does_not_keep_may_stand_in_the_file(login: Login) -> None:
    login.keeps("all")
    login.config(credsStore="all", auths={"r.example.org": basic("me", "file")})
    assert find_credentials("r.example.org") == Credentials("me", "file")


def test_a_helper_may_keep_an_identity_token(login: Login) -> None:
    login.helper("token", 'echo "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"identity\\"}"')
    login.config(credsStore="token")
    assert find_credentials("r.example.org") == Credentials("", "identity")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo hush; exit 3", "docker-credential-bad failed with exit code 3"),
        ("echo hush", "docker-credential-bad has answered with something else than credentials"),
        ('echo \'{"Username": "hush"}\'', "docker-credential-bad has answered with something else than credentials"),
    ],
)
def test_a_helper_that_gives_no_answer_is_named_and_what_it_said_is_not(
    login: Login, script: str, message: str
) -> None:
    login.helper("bad", script)
    login.config(credsStore="bad")
    with pytest.raises(CredentialsError) as caught:
        find_credentials("r.example.org")
    assert caught.value.message == message
    assert caught.value.hint.startswith("run `docker login r.example.org`, or mend credHelpers and credsStore")
    error: BaseException | None = caught.value
    while error is not None:
        assert "hush" not in str(error)
        error = error.__cause__ or error.__context__


def test_a_helper_that_is_not_there(login: Login) -> None:
    login.config(credsStore="gone")
    with pytest.raises(CredentialsError) as caught:
        find_credentials("docker.io")
    assert caught.value.message == "docker-credential-gone cannot be run: No such file or directory"
    assert caught.value.hint.startswith("run `docker login`, or")


def test_a_helper_that_nobody_waits_for_any_more_is_ended(login: Login) -> None:
    login.helper("slow", "sleep 1000")
    login.config(credsStore="slow")

    def at_once(end: Callable[[], None]) -> None:
        threading.Thread(target=end, daemon=True).start()

    with pytest.raises(CredentialsError, match="exit code -9"):
        find_credentials("r.example.org", at_once)


def test_a_helper_has_ten_seconds(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_helper, "_TIMEOUT_S", 0.2)
    login.helper("slow", "sleep 1000")
    login.config(credsStore="slow")
    with pytest.raises(CredentialsError, match="not answered within"):
        find_credentials("r.example.org")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"auths": ',
        "no json",
        '{"auths": {"r": {"auth": "%"}}}',
        '{"credHelpers": ["r.example.org"]}',
        '{"auths": 7}',
    ],
)
def test_a_config_file_that_makes_no_sense_is_not_taken_for_an_empty_one(login: Login, text: str) -> None:
    (login.folder / "config.json").write_text(text)
    with pytest.raises(CredentialsError) as caught:
        find_credentials("r.example.org")
    assert caught.value.message == "Docker's config file cannot be read"
    assert caught.value.hint == "`docker login r.example.org` writes it"
