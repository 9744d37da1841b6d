"""What moves tags on the engine: a candidate becomes a version, `latest` goes to another one, old ones go.

The order makes every moment safe to be killed in. A candidate gets its own tags before `latest` moves to it, and loses
the tag `candidate` last: whoever comes next finds either the candidate, to go on with, or a version that is complete.
What `latest` leaves behind has a tag of its own before it is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

from console.base.versions import (
    CANDIDATE,
    LATEST,
    BaseImage,
    date_tag,
    find_base,
    is_date_tag,
    list_versions,
    revision_tag,
)
from console.base_values import BaseVersion
from console.engine import engine_errors
from console.errors import EngineError, EngineUnreachableError
from console.model import LABEL_BASE

if TYPE_CHECKING:
    from docker import APIClient


def taken_tags(versions: Iterable[BaseVersion]) -> set[str]:
    """Every tag that a version has."""
    return {tag for one in versions for tag in one.tags}


def promote(client: APIClient, image: str, candidate: BaseImage, revision: str, now: float) -> str:
    """Makes a candidate a version and `latest`; what is a version already only becomes `latest`. Gives its name.

    Args:
        client: The engine's.
        image: The base's name, without a tag.
        candidate: Which one; it has passed whatever it had to.
        revision: The git commit it was built from; empty for none.
        now: Seconds since 1970.

    Raises:
        EngineError: If the engine refuses.
    """
    versions = list_versions(client, image)
    own = next((one for one in versions if one.image_id == candidate.image_id), None)
    dated = sorted(tag for tag in (own.tags if own else ()) if is_date_tag(tag))
    if candidate.version in dated:
        name = candidate.version
    elif dated:
        name = dated[0]
    else:
        taken = taken_tags(versions)
        name = candidate.version
        if not is_date_tag(name) or name in taken:
            name = date_tag(_day(candidate.created_at or now), taken)
        _tag(client, candidate.image_id, image, name)
        commit = revision_tag(revision)
        if commit and commit not in taken:
            _tag(client, candidate.image_id, image, commit)
    make_latest(client, image, candidate.image_id)
    with suppress(EngineError):  # it is latest; a tag that stays is seen to at the next start
        drop_candidate(client, image)
    return name


def make_latest(client: APIClient, image: str, image_id: str) -> None:
    """Moves `latest`. What it leaves keeps a tag: its own, or one of the day on which it was made.

    Raises:
        EngineError: If the engine refuses.
    """
    before = find_base(client, f"{image}:{LATEST}")
    if before is not None and before.image_id == image_id:
        return
    if before is not None:
        versions = list_versions(client, image)
        tags = next((one.tags for one in versions if one.image_id == before.image_id), ())
        if not set(tags) - {LATEST, CANDIDATE}:
            _tag(client, before.image_id, image, date_tag(_day(before.created_at), taken_tags(versions)))
    _tag(client, image_id, image, LATEST)


def drop_candidate(client: APIClient, image: str) -> None:
    """Takes the tag `candidate` away, and with it an image that has no other name. That there is none is fine.

    Raises:
        EngineError: If the engine does not answer.
    """
    from docker.errors import NotFound

    with engine_errors(f"removing {image}:{CANDIDATE}"), suppress(NotFound):
        client.remove_image(f"{image}:{CANDIDATE}", noprune=True)


def images_in_use(client: APIClient) -> set[str]:
    """IDs of the images that containers were made from, and of the bases that app images stand on.

    Raises:
        EngineError: If the engine does not say.
    """
    with engine_errors("listing containers"):
        containers: list[dict[str, Any]] = client.containers(all=True)
        apps: list[dict[str, Any]] = client.images(filters={"label": LABEL_BASE})
    used = {str(row.get("ImageID") or "") for row in containers}
    return used | {str((row.get("Labels") or {}).get(LABEL_BASE, "")) for row in apps}


def remove_versions(client: APIClient, image: str, versions: Iterable[BaseVersion]) -> tuple[str, ...]:
    """Removes these versions. An image that has a name of somebody else keeps that, and stays.

    Returns:
        What people called those whose names are gone.

    Raises:
        EngineUnreachableError: If the engine goes away. What it does not let go (in use after all) is left alone.
    """
    removed = []
    for one in versions:
        names = [f"{image}:{tag}" for tag in one.tags]
        found = find_base(client, one.image_id) if one.digest else None
        names += [name for name in found.digests if name.endswith(one.digest)] if found is not None else []
        gone = [_remove(client, name) for name in names]
        if all(gone):
            removed.append(one.name)
    return tuple(removed)


def remove_superseded(client: APIClient, image_id: str) -> None:
    """Removes a candidate that a newer one took the tag of; not if it has another name or is in use.

    Raises:
        EngineUnreachableError: If the engine goes away.
    """
    found = find_base(client, image_id)
    if found is not None and not found.tags:
        _remove(client, image_id)


def layer_bytes(client: APIClient) -> int:
    """What all images take on the engine's disk, shared layers once; 0 where it does not tell.

    Raises:
        EngineError: If the engine does not answer.
    """
    with engine_errors("measuring the images"):
        return int(client.df().get("LayersSize") or 0)


def _remove(client: APIClient, name: str) -> bool:
    """Whether a name of an image is gone."""
    from docker.errors import NotFound  # Podman words it in a way that docker-py does not know for an image's

    try:
        with engine_errors(f"removing {name}"), suppress(NotFound):
            client.remove_image(name)
    except EngineUnreachableError:
        raise
    except EngineError:
        return False
    return True


def _tag(client: APIClient, image_id: str, image: str, tag: str) -> None:
    with engine_errors(f"tagging {image}:{tag}"):
        client.tag(image_id, image, tag, force=True)


def _day(moment: float) -> date:
    return datetime.fromtimestamp(moment, tz=timezone.utc).date()
