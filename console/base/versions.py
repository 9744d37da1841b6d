"""Versions of the base image: their tags, what of them is on this engine, which one comes before, which may go.

`latest` is the only tag that ever moves. Every other tag, once given, stays where it is, so that whoever pinned one
gets what he pinned (docs/adr/0008-versions-of-the-base.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import count
from typing import TYPE_CHECKING, Any

from console.base_values import BaseVersion
from console.engine import engine_errors
from console.model import (
    LABEL_ARGS,
    LABEL_BASE,
    LABEL_FINGERPRINT,
    LABEL_INPUTS,
    LABEL_PARENTS,
    OCI_REVISION,
    OCI_VERSION,
)
from console.places import names_registry

if TYPE_CHECKING:
    from docker import APIClient

LATEST = "latest"
CANDIDATE = "candidate"
"""The tag of a base that has been built and has not passed its check yet."""
_DATE = re.compile(r"\d{4}\.\d{2}\.\d{2}(?:\.\d+)?")
_IMPLIED = ("localhost/", "docker.io/library/", "docker.io/")
"""What some engines put before a name that has no registry."""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base image on this engine."""

    image_id: str
    created_at: float
    """Seconds since 1970."""
    size_bytes: int
    fingerprint: str = ""
    """Of the inputs it was built from; empty when someone else built it."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Input path → short hash, as they were when it was built."""
    args: Mapping[str, str] = field(default_factory=dict)
    """Build argument → short hash of its value."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Image that it was built on → what identified it."""
    version: str = ""
    """The date tag that it was built for."""
    revision: str = ""
    """The git commit it was built from."""
    tags: tuple[str, ...] = ()
    """All of its names."""
    digests: tuple[str, ...] = ()
    """Its names with a digest."""
    layers: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """A registry's; empty where it was neither pushed nor pulled.

        Podman and the containerd image store give a digest to every image, under a name that leads to no registry.
        """
        return self.digest_in("")

    def digest_in(self, repository: str) -> str:
        """The digest that a repository has it under, or any registry where none is named; empty for none."""
        for name, _, digest in (one.partition("@") for one in self.digests):
            if _plain(name) == repository if repository else names_registry(_plain(name)):
                return digest
        return ""

    @property
    def name(self) -> str:
        """What people call it: its date tag, if it has one."""
        own = [tag.rpartition(":")[2] for tag in self.tags]
        dated = sorted(tag for tag in own if is_date_tag(tag))
        return self.version if self.version in own else dated[0] if dated else ""


def find_base(client: APIClient, reference: str) -> BaseImage | None:
    """The image behind a reference, or None where there is none.

    Raises:
        EngineError: If the engine does not say.
    """
    from docker.errors import ImageNotFound

    with engine_errors(f"looking for {reference}"):
        try:
            found: dict[str, Any] = client.inspect_image(reference)  # type: ignore[no-untyped-call]
        except ImageNotFound:
            return None
    labels = (found.get("Config") or {}).get("Labels") or {}
    return BaseImage(
        found["Id"],
        _moment(found.get("Created") or ""),
        found.get("Size", 0),
        labels.get(LABEL_FINGERPRINT, ""),
        _texts(labels.get(LABEL_INPUTS, "")),
        _texts(labels.get(LABEL_ARGS, "")),
        _texts(labels.get(LABEL_PARENTS, "")),
        labels.get(OCI_VERSION, "") if labels.get(LABEL_FINGERPRINT) else "",
        labels.get(OCI_REVISION, "") if labels.get(LABEL_FINGERPRINT) else "",
        tuple(tag for tag in found.get("RepoTags") or () if "@" not in tag),  # the containerd store lists digests, too
        tuple(found.get("RepoDigests") or ()),
        tuple((found.get("RootFS") or {}).get("Layers") or ()),
    )


def identify_images(client: APIClient, names: Iterable[str]) -> dict[str, str]:
    """What identifies images on this engine: `digest:` and a registry's digest, or `id:` and the image's own.

    Those that are not on it are left out. A registry's digest is the same on every engine.

    Raises:
        EngineError: If the engine does not say.
    """
    found = {name: find_base(client, name) for name in names}
    return {
        name: f"digest:{image.digests[0].partition('@')[2]}" if image.digests else f"id:{image.image_id}"
        for name, image in found.items()
        if image is not None
    }


def list_versions(client: APIClient, image: str) -> tuple[BaseVersion, ...]:
    """The versions of a base image on this engine, newest first; a candidate is none yet.

    Args:
        client: The engine's.
        image: The base's name, without a tag.

    Raises:
        EngineError: If the engine does not say.
    """
    with engine_errors(f"listing the versions of {image}"):
        rows: list[dict[str, Any]] = client.images(filters={"reference": image})
        apps: list[dict[str, Any]] = client.images(filters={"label": LABEL_BASE})
    standing: dict[str, set[str]] = {}
    for row in apps:
        names = {_plain(tag).removesuffix(f":{LATEST}") for tag in row.get("RepoTags") or ()}
        stands_on = (row.get("Labels") or {}).get(LABEL_BASE, "")
        standing.setdefault(stands_on, set()).update(name for name in names if not name.startswith("<none>"))
    # A list that is filtered by a name leaves the digests of other names out, so each is looked at by itself.
    found = (find_base(client, row["Id"]) for row in rows if LABEL_BASE not in (row.get("Labels") or {}))
    versions = [
        _version_of(one, sorted(_own_tags(one.tags, image)), tuple(sorted(standing.get(one.image_id, ()))))
        for one in found
        if one is not None and _own_tags(one.tags, image) - {CANDIDATE}
    ]
    return tuple(sorted(versions, key=lambda one: (one.created_at, one.version), reverse=True))


def _version_of(image: BaseImage, tags: list[str], apps: tuple[str, ...]) -> BaseVersion:
    return BaseVersion(
        image.image_id,
        tuple(tags),
        image.created_at,
        image.size_bytes,
        image.digest,
        _name_of(tags, image.version),
        image.revision,
        image.fingerprint,
        apps,
    )


def marked(versions: Iterable[BaseVersion], current: str, pins: Collection[str]) -> tuple[BaseVersion, ...]:
    """The versions with what is said about each.

    Args:
        versions: As they were found.
        current: ID of the image that app builds stand on.
        pins: Tags and digests that something names.
    """
    return tuple(
        replace(
            one,
            current=one.image_id == current,
            pinned=not {*one.tags, one.digest, one.image_id}.isdisjoint(pins),
        )
        for one in versions
    )


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
    return _DATE.fullmatch(tag) is not None


def find_version(versions: Iterable[BaseVersion], wanted: str) -> BaseVersion | None:
    """The version that somebody means by a tag, a digest, an image ID or the beginning of one."""
    for one in versions:
        if wanted in one.tags or wanted.lstrip("@") in (one.digest, one.image_id):
            return one
        digest = wanted.partition("@")[2]
        if digest and digest == one.digest:
            return one
    short = wanted.removeprefix("sha256:")
    found = [one for one in versions if len(short) >= 6 and one.image_id.removeprefix("sha256:").startswith(short)]
    return found[0] if len(found) == 1 else None


def previous_of(versions: Sequence[BaseVersion], current: str) -> BaseVersion | None:
    """The version before the one with this image ID: the newest of those that are older."""
    now = next((one for one in versions if one.image_id == current), None)
    if now is None:
        return None
    place = versions.index(now)
    return next(iter(versions[place + 1 :]), None)


def superfluous(versions: Sequence[BaseVersion], keep: int, in_use: Collection[str]) -> tuple[BaseVersion, ...]:
    """The versions that nobody needs: all but the newest `keep`, what is in use or pinned, and where a rollback goes.

    Args:
        versions: Newest first, marked.
        keep: How many of the newest stay in any case.
        in_use: IDs of images that containers were made from, or their base.
    """
    current = next((one.image_id for one in versions if one.current), "")
    latest = next((one.image_id for one in versions if LATEST in one.tags), "")
    safe = {current, latest, *in_use}
    for one in (current, latest):
        before = previous_of(versions, one)
        safe |= {before.image_id} if before else set()
    return tuple(one for one in versions[keep:] if one.image_id not in safe and not one.pinned and not one.apps)


def pins_in(text: str, names: Iterable[str]) -> set[str]:
    """The tags and digests with which a text names an image, such as a compose file's."""
    found: set[str] = set()
    for name in names:
        for tag, digest in re.findall(
            rf"(?<![\w./-]){re.escape(name)}(?::([\w][\w.-]{{0,127}}))?(?:@(sha256:[0-9a-f]{{64}}))?", text
        ):
            found |= {tag, digest} - {"", LATEST}
    return found


def _own_tags(names: Iterable[str], image: str) -> set[str]:
    own = {_plain(image)}
    return {tag for name, _, tag in (_plain(one).rpartition(":") for one in names) if name in own}


def _plain(name: str) -> str:
    """A name without what an engine put before it."""
    for implied in _IMPLIED:
        if name.startswith(implied) and "/" not in name.removeprefix(implied):
            return name.removeprefix(implied)
    return name


def _name_of(tags: Sequence[str], label: str) -> str:
    if label in tags:
        return label
    return next((tag for tag in tags if is_date_tag(tag)), "")


def _texts(label: str) -> dict[str, str]:
    try:
        found = json.loads(label or "{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _moment(text: str) -> float:
    """The engine's RFC 3339 time, whose nanoseconds Python does not read; 0 where it says nothing."""
    if not text or text.startswith("0001-"):
        return 0.0
    head, _, fraction = text.removesuffix("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{head}.{(fraction + '000000')[:6]}+00:00").timestamp()
    except ValueError:
        return 0.0
