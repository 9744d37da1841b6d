"""Names of base images: which tags a version has, how an engine writes a name, which names a text pins. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import date
from itertools import count

LATEST = "latest"
CANDIDATE = "candidate"
"""The tag of a base that has been built and has not passed its check yet."""
_DATE = re.compile(r"\d{4}\.\d{2}\.\d{2}(?:\.\d+)?")
_HUB = ("docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/")
_PODMAN = "localhost/"
"""What Podman puts before a name that leads to no registry."""


def date_tag(day: date, taken: Collection[str]) -> str:
    """The tag of a new version: its day, and a number where the day has one already."""
    first = day.strftime("%Y.%m.%d")
    if first not in taken:
        return first
    return next(tag for number in count(2) if (tag := f"{first}.{number}") not in taken)


def revision_tag(revision: str) -> str:
    """The tag of the git commit that a base was built from; empty for no commit."""
    return f"sha-{revision[:7]}" if revision else ""


def is_date_tag(tag: str) -> bool:
    """Whether it is a tag that a version gets."""
    return _DATE.fullmatch(tag) is not None


def in_order(version: str) -> tuple[int, ...]:
    """What sorts version names: `2026.11.26.10` after `2026.11.26.9`."""
    return tuple(map(int, re.findall(r"\d+", version))) if is_date_tag(version) else ()


def familiar(name: str) -> str:
    """A name as an engine shows it: without the Docker Hub, and without what Podman puts before it."""
    for prefix in _HUB:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    rest = name.removeprefix(_PODMAN)
    return name if "/" in rest else rest


def tags_of(names: Iterable[str], image: str) -> tuple[str, ...]:
    """The tags that are an image's own: of its name, and of no other repository's."""
    own = familiar(image)
    split = (familiar(one).rpartition(":") for one in names if "@" not in one)
    return tuple(sorted(tag for name, _, tag in split if name == own))


def called(tags: Iterable[str], version: str) -> str:
    """What people call a version with these tags: the date that it was built for, else its first date; else empty."""
    dated = sorted(filter(is_date_tag, tags), key=in_order)
    return version if version in dated else next(iter(dated), "")


def pins_in(text: str, names: Iterable[str]) -> set[str]:
    """The tags and digests with which a text names an image, such as a compose file's."""
    found: set[str] = set()
    for name in names:
        for tag, digest in re.findall(
            rf"(?<![\w./-]){re.escape(name)}(?::([\w][\w.-]{{0,127}}))?(?:@(sha256:[0-9a-f]{{64}}))?", text
        ):
            found |= {tag, digest} - {"", LATEST}
    return found
