"""What goes wrong between an engine and a registry, in our words: what it is, what to do, whether trying again helps.

Engines pass on what the registry answered, what Go's network library says, or what they make of it. Each words it its
own way; the words were collected from Docker 20.10, Docker 28 with both image stores, and Podman 5
(tests/data/registry/errors_*.jsonl).
"""

from __future__ import annotations

import re
from enum import Enum

from console.errors import SplitdeckError

_DETAIL_CHARACTERS = 240


class RegistryFault(Enum):
    """What kind of thing went wrong."""

    LOGIN = "login"
    """The registry knows nobody of that name and password, or wants some."""
    DENIED = "denied"
    """It knows who asks, and says no; many registries say this of a repository that is not there."""
    ABSENT = "absent"
    """It has no such repository or tag."""
    OFFLINE = "offline"
    """Nothing answers there."""
    TLS = "tls"
    """One speaks TLS and the other does not, or its certificate is not trusted."""
    LIMIT = "limit"
    """Too many requests."""
    SPACE = "space"
    """A full disk, here or there, or a layer that is too large."""
    BROKEN = "broken"
    """A connection that broke, a registry that is in trouble: it may go well the next time."""
    CANCELLED = "cancelled"
    OTHER = "other"


class RegistryError(SplitdeckError):
    """A registry refused something, or could not be reached.

    Args:
        fault: What kind of thing went wrong.
    """

    def __init__(self, message: str, hint: str = "", *, fault: RegistryFault = RegistryFault.OTHER) -> None:
        super().__init__(message, hint)
        self.fault = fault


_BY_STATUS = {
    401: RegistryFault.LOGIN,
    403: RegistryFault.DENIED,
    404: RegistryFault.ABSENT,
    408: RegistryFault.BROKEN,
    413: RegistryFault.SPACE,
    429: RegistryFault.LIMIT,
    507: RegistryFault.SPACE,
}
_STATUS = re.compile(
    r"unexpected (?:http )?status.*?: (\d{3})\b"  # Docker, containerd
    r"|error parsing http (\d{3}) response"  # Docker, where the answer is no JSON
    r"|statuscode: (\d{3})\b"  # Podman
    r"|: (\d{3}) \([a-z ]+\)"  # Podman
    r"|<title>(\d{3}) ",  # a web server before the registry
    re.DOTALL,
)
_WORDS = (
    (RegistryFault.DENIED, r"is not authorized|unauthorized to access repository"),  # Quay and Harbor
    (
        RegistryFault.LOGIN,
        "no basic auth credentials|unauthorized|authentication required|incorrect username|token has expired",
    ),
    (RegistryFault.LIMIT, r"toomanyrequests|too many requests|rate limit"),
    (RegistryFault.BROKEN, r"tls handshake timeout"),
    (RegistryFault.TLS, r"server gave http response to https client|does not look like a tls handshake|x509:|\btls: "),
    (RegistryFault.SPACE, r"no space left on device|disk quota exceeded|entity too large"),
    (
        RegistryFault.OFFLINE,
        (
            r"no such host|\blookup \S+ on |connection refused|network is unreachable|no route to host"
            r"|dial tcp .*timeout|server misbehaving|name resolution|proxyconnect"
        ),
    ),
    (RegistryFault.DENIED, r"denied|forbidden"),
    (RegistryFault.ABSENT, r"(?:manifest|name|blob) unknown|not known to registry|not found|does not exist"),
    (
        RegistryFault.BROKEN,
        (
            r"\beof\b|connection reset|broken pipe|timeout|timed out|deadline exceeded|closed network connection"
            r"|stream error|http2: |short read|upload invalid|upload unknown"
        ),
    ),
)


def fault_of(text: str, status: int = 0) -> RegistryFault:
    """What kind of thing an engine's message is about.

    Args:
        text: The message.
        status: The engine's own HTTP status, which often says less than the text; 0 in the middle of an answer.
    """
    plain = text.lower()
    if found := _STATUS.search(plain):
        told = int(next(filter(None, found.groups())))
        if fault := _BY_STATUS.get(told):
            return fault
        if told >= 500:
            return RegistryFault.BROKEN
    for fault, words in _WORDS:
        if re.search(words, plain):
            return fault
    return _BY_STATUS.get(status, RegistryFault.OTHER)


def explain(
    text: str, *, doing: str, repository: str, status: int = 0, logged_in: bool = False, secret: str = ""
) -> RegistryError:
    """What an engine says of a registry as an error that a user can be told.

    Args:
        text: The engine's message.
        doing: What was being done, such as `pushing ghcr.io/us/base:latest`.
        repository: With its registry, as the user wrote it.
        status: The engine's own HTTP status; 0 in the middle of an answer.
        logged_in: Whether the engine was given credentials.
        secret: Of these credentials; never told on.
    """
    fault = fault_of(text, status)
    host = host_of(repository)
    place = "the Docker Hub" if host == _HUB else host
    login = "`docker login`" if host == _HUB else f"`docker login {host}`"
    detail = _detail(text, secret)
    happened, hint = {
        RegistryFault.LOGIN: (
            f"{place} does not accept the credentials that `docker login` left"
            if logged_in
            else f"{place} wants to know who asks, and nobody is logged in there",
            f"run {login}",
        ),
        RegistryFault.DENIED: (
            f"{place} does not allow it ({detail})",
            f"see that {repository} is written as the registry has it and that the user of {login} has the right"
            if logged_in
            else f"if {repository} is private or is to be written to, run {login}",
        ),
        RegistryFault.ABSENT: (
            f"{place} has no such tag or repository",
            f"see what {repository} holds, and that [base] repository in config.toml names it",
        ),
        RegistryFault.OFFLINE: (
            f"{place} cannot be reached ({detail})",
            "see whether the network is up and the engine's proxy settings are right, then try again",
        ),
        RegistryFault.TLS: (
            f"{place} and the engine do not agree on TLS ({detail})",
            (
                f"tell the engine if {host} speaks plain HTTP (`insecure-registries` in /etc/docker/daemon.json, or"
                f" Podman's registries.conf) or has a certificate of its own (in /etc/docker/certs.d/{host})"
            ),
        ),
        RegistryFault.LIMIT: (
            f"{place} gets too many requests from here ({detail})",
            f"wait a while, or run {login}: users often have a higher limit",
        ),
        RegistryFault.SPACE: (
            f"there is no room ({detail})",
            "make room on the engine's disk (`docker system df`), or have the limit of the registry's server raised",
        ),
        RegistryFault.BROKEN: (f"the connection to {place} broke ({detail})", "try again; finished layers are kept"),
    }.get(fault, (detail, ""))
    return RegistryError(f"{doing}: {happened}", hint, fault=fault)


_HUB = "docker.io"


def host_of(repository: str) -> str:
    """The registry of a repository: `ghcr.io` of `ghcr.io/us/base`, `docker.io` where none is named."""
    first, slash, _ = repository.partition("/")
    named = slash and (first == "localhost" or "." in first or ":" in first)
    return _HUB if not named or first in {"index.docker.io", "registry-1.docker.io"} else first


def _detail(text: str, secret: str) -> str:
    """An engine's message in one line, without what nobody may see and what nobody reads."""
    line = " ".join(text.split())
    if secret:
        line = line.replace(secret, "…")
    line = re.sub(r"//[^/@\s]+@", "//…@", line)
    line = re.sub(r"([?&][^=\s]*=)[^&\s\"]+", r"\1…", line)  # a signed address lets whoever has it in
    line = re.sub(r"sha256:([0-9a-f]{12})[0-9a-f]{52}", r"\1", line)
    line = line.removeprefix("unknown: ").strip() or "it does not say why"
    return line if len(line) <= _DETAIL_CHARACTERS else f"…{line[1 - _DETAIL_CHARACTERS :]}"  # the cause stands last
