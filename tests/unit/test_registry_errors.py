"""What engines say of registries, as recorded from four of them: what kind of fault it is, and what a user is told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from console.base.registry_errors import RegistryError, RegistryFault, explain, fault_of, host_of

RECORDED = Path(__file__).parents[1] / "data" / "registry"
FAULTS = {
    "nobody logged in": RegistryFault.LOGIN,
    "wrong password": RegistryFault.LOGIN,
    "no such repository": RegistryFault.ABSENT,
    "no such tag": RegistryFault.ABSENT,
    "offline": RegistryFault.OFFLINE,
    "no such host": RegistryFault.OFFLINE,
    "broken in a layer": RegistryFault.BROKEN,
    "broken": RegistryFault.BROKEN,
    "denied": RegistryFault.DENIED,
    "unauthorised": RegistryFault.DENIED,
    "too many": RegistryFault.LIMIT,
    "in trouble": RegistryFault.BROKEN,
    "a proxy in trouble": RegistryFault.BROKEN,
    "plain HTTP": RegistryFault.TLS,
    "certificate not trusted": RegistryFault.TLS,
}
ENGINES = ("containerd", "docker", "docker28", "podman")
SILENT = {("containerd", "pull"), ("containerd", "push"), ("podman", "push")}
"""Who keeps the registry's own words from us, and tells the status only: 401 is a matter of the login then."""


def recorded(engine: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / f"errors_{engine}.jsonl").read_text().splitlines()]


def told(text: str, **known: Any) -> RegistryError:
    return explain(text, **{"doing": "pushing r.example.org/us/base:t", "repository": "r.example.org/us/base"} | known)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_words_of_every_engine_are_understood(engine: str) -> None:
    wrong = []
    for row in recorded(engine):
        expected = FAULTS[row["case"]]
        if row["case"] == "unauthorised" and (engine, row["doing"]) in SILENT:
            expected = RegistryFault.LOGIN
        fault = fault_of(row["text"], row["status"])
        if fault is not expected:
            wrong.append((row, fault))
    assert wrong == []


@pytest.mark.parametrize("engine", ENGINES)
def test_every_case_was_recorded(engine: str) -> None:
    unreachable = {"no such host"} if engine == "docker" else set()
    assert {row["case"] for row in recorded(engine)} == FAULTS.keys() - unreachable


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_told_is_short_and_has_a_hint(engine: str) -> None:
    for row in recorded(engine):
        error = told(row["text"], status=row["status"])
        assert error.hint, row
        assert len(error.message) < 360, row
        assert "\n" not in error.message
        assert not re.search("sha256:|[0-9a-f]{40}", error.message), "an ID as long as that says nothing"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        # Other registries and engines, as their sources and threads have it.
        ("denied: requested access to the resource is denied", RegistryFault.DENIED),
        (
            (
                "pull access denied for us/base, repository does not exist or may require 'docker login': denied:"
                " requested access to the resource is denied"
            ),
            RegistryFault.DENIED,
        ),
        ("unauthorized: incorrect username or password", RegistryFault.LOGIN),
        ("unauthorized: unauthorized to access repository: a/b, action: push", RegistryFault.DENIED),
        ("error parsing HTTP 413 response body: invalid character '<': \"<html>…\"", RegistryFault.SPACE),
        ("error parsing HTTP 504 response body: invalid character '<': \"<html>…\"", RegistryFault.BROKEN),
        ("toomanyrequests: You have reached your pull rate limit.", RegistryFault.LIMIT),
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", RegistryFault.SPACE),
        ("name unknown: The repository with name 'base' does not exist in the registry", RegistryFault.ABSENT),
        ('Get "https://r/v2/": net/http: TLS handshake timeout', RegistryFault.BROKEN),
        ('Get "https://r/v2/": dial tcp 192.0.2.1:443: i/o timeout', RegistryFault.OFFLINE),
        ("proxyconnect tcp: dial tcp 127.0.0.1:3128: connect: connection refused", RegistryFault.OFFLINE),
        ('Get "https://r/v2/": tls: first record does not look like a TLS handshake', RegistryFault.TLS),
        ("read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer", RegistryFault.BROKEN),
        ("something new", RegistryFault.OTHER),
    ],
)
def test_words_that_were_not_provoked(text: str, fault: RegistryFault) -> None:
    assert fault_of(text) is fault


def test_a_status_counts_where_words_say_nothing() -> None:
    assert fault_of("", 403) is RegistryFault.DENIED
    assert fault_of("manifest unknown", 403) is RegistryFault.ABSENT, "the engine's own status says less"
    assert fault_of("", 500) is RegistryFault.OTHER


@pytest.mark.parametrize(
    ("text", "known", "message", "hint"),
    [
        (
            "no basic auth credentials",
            {},
            "r.example.org wants to know who asks, and nobody is logged in there",
            "run `docker login r.example.org`",
        ),
        (
            "unauthorized: authentication required",
            {"logged_in": True},
            "r.example.org does not accept the credentials that `docker login` left",
            "run `docker login r.example.org`",
        ),
        (
            "denied: no",
            {"logged_in": True},
            "r.example.org does not allow it (denied: no)",
            (
                "see that r.example.org/us/base is written as the registry has it and that the user of"
                " `docker login r.example.org` has the right"
            ),
        ),
        (
            "denied: no",
            {},
            "r.example.org does not allow it (denied: no)",
            "if r.example.org/us/base is private or is to be written to, run `docker login r.example.org`",
        ),
        (
            "manifest unknown",
            {},
            "r.example.org has no such tag or repository",
            "see what r.example.org/us/base holds, and that [base] repository in config.toml names it",
        ),
        (
            "dial tcp 127.0.0.1:5: connect: connection refused",
            {},
            "r.example.org cannot be reached (dial tcp 127.0.0.1:5: connect: connection refused)",
            "see whether the network is up and the engine's proxy settings are right, then try again",
        ),
        (
            "unexpected EOF",
            {},
            "the connection to r.example.org broke (unexpected EOF)",
            "try again; finished layers are kept",
        ),
        ("what", {}, "what", ""),
        (" \n", {}, "it does not say why", ""),
    ],
)
def test_messages_and_hints(text: str, known: dict[str, Any], message: str, hint: str) -> None:
    error = told(text, **known)
    assert (error.message, error.hint) == (f"pushing r.example.org/us/base:t: {message}", hint)


def test_the_hub_is_called_by_its_name() -> None:
    error = told("unauthorized", repository="us/base")
    assert error.message.endswith(": the Docker Hub wants to know who asks, and nobody is logged in there")
    assert error.hint == "run `docker login`"


def test_a_server_that_speaks_no_tls_is_a_matter_of_the_engines_settings() -> None:
    error = told("http: server gave HTTP response to HTTPS client")
    assert error.fault is RegistryFault.TLS
    assert "`insecure-registries` in /etc/docker/daemon.json" in error.hint
    assert "/etc/docker/certs.d/r.example.org" in error.hint


def test_nothing_secret_is_told_on() -> None:
    error = told('denied: Put "https://me:hush@r.example.org/v2/x?sig=abc%2F&_state=def": for hush99', secret="hush99")
    assert error.message.endswith('(denied: Put "https://…@r.example.org/v2/x?sig=…&_state=…": for …)')


def test_of_a_long_message_the_end_counts() -> None:
    error = told(f"writing blob: {'storing ' * 60}: unexpected EOF")
    assert "(…" in error.message
    assert error.message.endswith("storing : unexpected EOF)")
    assert "sha256" not in told(f"denied: sha256:{'0123456789abcdef' * 4}").message


@pytest.mark.parametrize(
    ("repository", "host"),
    [
        ("ghcr.io/us/base", "ghcr.io"),
        ("localhost/base", "localhost"),
        ("localhost:5000/us/base", "localhost:5000"),
        ("registry:80/base", "registry:80"),
        ("base", "docker.io"),
        ("us/base", "docker.io"),
        ("docker.io/us/base", "docker.io"),
        ("index.docker.io/us/base", "docker.io"),
        ("registry-1.docker.io/us/base", "docker.io"),
    ],
)
def test_the_registry_of_a_repository(repository: str, host: str) -> None:
    assert host_of(repository) == host
