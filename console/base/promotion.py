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

from console.base.tags import CANDIDATE, LATEST, called, date_tag, familiar, is_date_tag, revision_tag, tags_of
from console.base.versions import BaseImage, all_tags, find_base
from console.base_values import BaseVersion
from console.engine import engine_errors
from console.errors import EngineError, EngineUnreachableError
from console.model import LABEL_BASE

if TYPE_CHECKING:
    from docker import APIClient


def promote(client: APIClient, image: str, candidate: BaseImage, now: float) -> str:
    """Makes a candidate a version and `latest`; what is a version already only becomes `latest`. Gives its name.

    Args:
        client: The engine's.
        image: The base's name, without a tag.
        candidate: Which one; it has passed whatever it had to.
        now: Seconds since 1970.

    Raises:
        EngineError: If the engine refuses.
    """
    name = name_version(client, image, candidate, now)
    commit = revision_tag(candidate.revision)
    if commit and commit not in all_tags(client, image):
        _tag(client, candidate.image_id, image, commit)
    make_latest(client, image, candidate.image_id, now)
    with suppress(EngineError):  # it is latest; a tag that stays is seen to at the next start
        drop_candidate(client, image, candidate.image_id)
    return name


def name_version(client: APIClient, image: str, one: BaseImage, now: float) -> str:
    """Sees to it that an image has a date tag, one that nothing else has, and gives the one it goes by.

    Raises:
        EngineError: If the engine refuses.
    """
    if own := called(tags_of(one.names, image), one.version):
        return own
    taken = all_tags(client, image)
    name = one.version
    if not is_date_tag(name) or name in taken:
        name = date_tag(_day(one.created_at or now), taken)
    _tag(client, one.image_id, image, name)
    return name


def make_latest(client: APIClient, image: str, image_id: str, now: float) -> None:
    """Moves `latest`. What it leaves keeps a tag: its own, or one of the day on which it was made.

    Raises:
        EngineError: If the engine refuses.
    """
    before = find_base(client, f"{image}:{LATEST}")
    if before is not None and before.image_id == image_id:
        return
    if before is not None and not set(tags_of(before.names, image)) - {LATEST, CANDIDATE}:
        name_version(client, image, before, now)
    _tag(client, image_id, image, LATEST)


def drop_candidate(client: APIClient, image: str, image_id: str) -> None:
    """Takes the tag `candidate` away from an image, and the image with it where it has no other name.

    That it is not there, or on another image by now, is fine.

    Raises:
        EngineError: If the engine does not answer.
    """
    from docker.errors import NotFound

    found = find_base(client, f"{image}:{CANDIDATE}")
    if found is None or found.image_id != image_id:
        return
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


def remove_versions(
    client: APIClient, repositories: tuple[str, ...], versions: Iterable[BaseVersion]
) -> tuple[str, ...]:
    """Removes the names of these versions in some repositories. An image that has another name keeps that, and stays.

    Returns:
        What people called those whose names are gone.

    Raises:
        EngineUnreachableError: If the engine goes away. What it does not let go (in use after all) is left alone.
    """
    removed = []
    own = {familiar(repository) for repository in repositories}
    for one in versions:
        found = find_base(client, one.image_id)
        if found is None:
            continue
        names = [name for name in found.names if familiar(name).rpartition(":")[0] in own]
        names += [name for name in found.digests if familiar(name.partition("@")[0]) in own]
        gone = [_remove(client, name) for name in names]
        if all(gone):
            removed.append(one.name)
    return tuple(removed)


def remove_superseded(client: APIClient, image_id: str) -> None:
    """Removes a candidate that a newer one took the tag of; not if it has another name, is in use, or is not ours.

    Raises:
        EngineUnreachableError: If the engine goes away.
    """
    found = find_base(client, image_id)
    if found is not None and found.fingerprint and not found.names:
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
