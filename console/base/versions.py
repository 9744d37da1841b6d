"""Versions of the base image: what of them is on this engine, which one comes before, which may go.

`latest` is the only tag that ever moves. Every other tag, once given, stays where it is, so that whoever pinned one
gets what he pinned (docs/adr/0008-versions-of-the-base.md).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from console.base.tags import CANDIDATE, LATEST, called, familiar, in_order, is_date_tag, tags_of
from console.base_values import BaseVersion
from console.engine import engine_errors
from console.model import (
    LABEL_ARGS,
    LABEL_BASE,
    LABEL_FINGERPRINT,
    LABEL_INPUTS,
    LABEL_PARENTS,
    LABEL_PROJECT,
    OCI_CREATED,
    OCI_REVISION,
    OCI_VERSION,
)
from console.places import names_registry

if TYPE_CHECKING:
    from docker import APIClient


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base image on this engine."""

    image_id: str
    created_at: float
    """When it was built, seconds since 1970; 0 where the engine does not say."""
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
    project: str = ""
    """Whose splitdeck built it."""
    stands_on: str = ""
    """ID of the base that it stands on: then it is an app image."""
    names: tuple[str, ...] = ()
    """All of its names with a tag, as the engine writes them."""
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
            if familiar(name) == familiar(repository) if repository else names_registry(familiar(name)):
                return digest
        return ""


def find_base(client: APIClient, reference: str) -> BaseImage | None:
    """The image under a reference; None where there is none.

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
    ours = labels.get(LABEL_FINGERPRINT, "")
    # The engine's time is that of the newest layer, which may have come from the builder's cache.
    built_at = _moment(labels.get(OCI_CREATED) or "") if ours else 0.0
    return BaseImage(
        found["Id"],
        built_at or _moment(found.get("Created") or ""),
        found.get("Size", 0),
        ours,
        _texts(labels.get(LABEL_INPUTS, "")),
        _texts(labels.get(LABEL_ARGS, "")),
        _texts(labels.get(LABEL_PARENTS, "")),
        labels.get(OCI_VERSION, "") if ours else "",
        labels.get(OCI_REVISION, "") if ours else "",
        labels.get(LABEL_PROJECT, ""),
        labels.get(LABEL_BASE, ""),
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
    return {name: _identity(image, name) for name, image in found.items() if image is not None}


def all_tags(client: APIClient, image: str) -> set[str]:
    """Every tag that anything has under a name, whatever it is.

    Raises:
        EngineError: If the engine does not say.
    """
    with engine_errors(f"listing {image}"):
        rows: list[dict[str, Any]] = client.images(filters={"reference": familiar(image)})
    return {tag for row in rows for tag in tags_of(row.get("RepoTags") or (), image)}


def list_versions(client: APIClient, image: str) -> tuple[BaseVersion, ...]:
    """The versions of a base image on this engine, newest first; a candidate is none yet.

    Args:
        client: The engine's.
        image: The base's name, without a tag.

    Raises:
        EngineError: If the engine does not say.
    """
    with engine_errors(f"listing the versions of {image}"):
        rows: list[dict[str, Any]] = client.images(filters={"reference": familiar(image)})
        apps: list[dict[str, Any]] = client.images(filters={"label": LABEL_BASE})
    standing: dict[str, set[str]] = {}
    for row in apps:
        names = {familiar(tag).removesuffix(f":{LATEST}") for tag in row.get("RepoTags") or ()}
        stands_on = (row.get("Labels") or {}).get(LABEL_BASE, "")
        standing.setdefault(stands_on, set()).update(name for name in names if not name.startswith("<none>"))
    # A list that is filtered by a name leaves the digests of other names out, so each is looked at by itself.
    found = (find_base(client, row["Id"]) for row in rows)
    versions = [
        _version_of(one, image, tuple(sorted(standing.get(one.image_id, ()))))
        for one in found
        if one is not None and not one.stands_on and set(tags_of(one.names, image)) - {CANDIDATE}
    ]
    return tuple(sorted(versions, key=lambda one: (one.created_at, in_order(one.version)), reverse=True))


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
            pinned=not ({*one.tags, one.digest, one.image_id} - {""}).isdisjoint(pins),
        )
        for one in versions
    )


def find_version(versions: Iterable[BaseVersion], wanted: str) -> BaseVersion | None:
    """The version that somebody means by a tag, a digest, an image ID or the beginning of one; None for nothing."""
    tag, _, digest = wanted.partition("@")
    named = {digest or tag} - {""}
    for one in versions:
        if (tag in one.tags and not digest) or named & {one.digest, one.image_id}:
            return one
    short = wanted.removeprefix("sha256:")
    found = [one for one in versions if len(short) >= 6 and one.image_id.removeprefix("sha256:").startswith(short)]
    return found[0] if len(found) == 1 else None


def previous_of(versions: Sequence[BaseVersion], current: str) -> BaseVersion | None:
    """The version before the one with this image ID: the newest of those that are older.

    What somebody gave another tag under the base's name, and we did not build, is not gone back to.
    """
    now = next((one for one in versions if one.image_id == current), None)
    if now is None:
        return None
    older = versions[versions.index(now) + 1 :]
    return next((one for one in older if one.fingerprint or any(map(is_date_tag, one.tags))), None)


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


def _version_of(image: BaseImage, name: str, apps: tuple[str, ...]) -> BaseVersion:
    tags = tags_of(image.names, name)
    return BaseVersion(
        image.image_id,
        tags,
        image.created_at,
        image.size_bytes,
        image.digest,
        called(tags, image.version),
        image.revision,
        image.fingerprint,
        apps,
        image.project,
    )


def _identity(image: BaseImage, name: str) -> str:
    repository = name.partition("@")[0]
    repository = repository[: -len(tag) - 1] if (tag := repository.rpartition("/")[2].partition(":")[2]) else repository
    digests = {familiar(one): digest for one, _, digest in (each.partition("@") for each in image.digests)}
    digest = digests.get(familiar(repository)) or next(iter(digests.values()), "")
    return f"digest:{digest}" if digest else f"id:{image.image_id}"


def _texts(label: str) -> dict[str, str]:
    try:
        found = json.loads(label or "{}")
    except (ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _moment(text: str) -> float:
    """An RFC 3339 time in UTC, whose nanoseconds Python does not read; 0 where it says nothing."""
    if not text or text.startswith("0001-"):
        return 0.0
    head, _, fraction = text.removesuffix("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{head}.{(fraction + '000000')[:6]}+00:00").timestamp()
    except ValueError:
        return 0.0
