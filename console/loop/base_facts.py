"""What is known of a project's base images: asked of the engine, the source tree and the files that are kept.

Everything blocks and takes the client of the thread that asks; nothing is changed on the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from console.base.memory import BaseMemory, Remembered
from console.base.package_diff import compare_packages
from console.base.packages import Package, PackageCache, read_packages
from console.base.revision import committed_revision
from console.base.tags import CANDIDATE, LATEST, called, date_tag, pins_in, tags_of
from console.base.versions import (
    BaseImage,
    all_tags,
    find_base,
    find_version,
    identify_images,
    list_versions,
    marked,
    previous_of,
)
from console.base_values import (
    BaseContents,
    BaseDiff,
    BasePackage,
    BaseStatus,
    BaseVersion,
    Foundation,
    HeldBase,
    HeldBecause,
)
from console.build.recipe import LoadIgnore
from console.config import Config
from console.errors import BaseError
from console.format import paths as some
from console.loop.fingerprint import BaseInputs, read_base_inputs, status_of
from console.model import LABEL_BASE, OCI_BASE_DIGEST, OCI_BASE_NAME, OCI_CREATED, OCI_REVISION, OCI_VERSION, Clock

if TYPE_CHECKING:
    from docker import APIClient


class BaseFacts:
    """One project's.

    Args:
        config: The project.
        load_ignore: Reads .dockerignore.
        memory: What is remembered from one run to the next.
        packages: What images hold, as far as it was read before.
        clock: The present.
    """

    def __init__(
        self, config: Config, load_ignore: LoadIgnore, memory: BaseMemory, packages: PackageCache, clock: Clock
    ) -> None:
        self._config = config
        self._base = config.base
        self._load_ignore = load_ignore
        self._memory = memory
        self._packages = packages
        self._clock = clock
        self.inputs: BaseInputs | None = None
        """As last read."""
        self.version = self._base.version
        """What app builds stand on, as [base] version has it; whoever pins another one sets it."""

    @property
    def reference(self) -> str:
        """The image that app builds stand on."""
        return self._base.reference_to(self.version)

    @property
    def pinned(self) -> bool:
        """Whether that is one certain version, so that a new base does not take its place."""
        return self.version != LATEST

    def read_inputs(self, client: APIClient) -> BaseInputs:
        """The inputs as they are now.

        Raises:
            SplitdeckError: If one cannot be read or the engine does not answer.
        """
        self.inputs = read_base_inputs(self._config, self._load_ignore, lambda names: identify_images(client, names))
        return self.inputs

    def status(self, client: APIClient) -> BaseStatus:
        """The base as it is now, compared with its inputs as they are now.

        Raises:
            SplitdeckError: If an input cannot be read or the engine does not answer.
        """
        inputs = self.read_inputs(client)
        image = find_base(client, self.reference)
        own = called(tags_of(image.names, self._base.image), image.version) if image is not None else ""
        status = status_of(self.reference, image, inputs, own)
        before = None if image is None else previous_of(list_versions(client, self._base.image), image.image_id)
        remembered = self._memory.get()
        return replace(
            status,
            pinned=self.pinned,
            previous=before.name if before else "",
            newer=remembered.newer if remembered.newer != status.digest else "",
            held=self._held(client, remembered, status, inputs),
        )

    def versions(self, client: APIClient) -> tuple[BaseVersion, ...]:
        """The versions on this engine, newest first, with what is said of each.

        Raises:
            EngineError: If the engine does not say.
            BaseError: If a file that may pin one cannot be read.
        """
        present = find_base(client, self.reference)
        return marked(list_versions(client, self._base.image), present.image_id if present else "", self._pins())

    def candidate(self, client: APIClient) -> BaseImage | None:
        """A base that was built or fetched and is not a version yet.

        Raises:
            EngineError: If the engine does not say.
        """
        return find_base(client, self._base.reference_to(CANDIDATE))

    def twin(self, client: APIClient, image_id: str) -> str | None:
        """The ID of the version that holds just what an image holds, itself perhaps; None where there is none.

        An image has another ID each time it is built, as it says when that was.

        Raises:
            EngineError: If the engine does not say.
        """
        mine = find_base(client, image_id)
        versions = list_versions(client, self._base.image)
        versions = tuple(one for one in versions if called(one.tags, one.version))  # any other tag says nothing
        if mine is None or any(one.image_id == image_id for one in versions):
            return None if mine is None else image_id
        alike = (one for one in versions if mine.fingerprint and one.fingerprint == mine.fingerprint)
        found = (find_base(client, one.image_id) for one in alike)
        return next((one.image_id for one in found if one is not None and one.layers == mine.layers), None)

    def compare(self, client: APIClient, before: str, after: str) -> BaseDiff:
        """What two bases do not have alike; each is named by a tag, a digest, an ID, or is the `candidate`.

        Raises:
            BaseError: If there is no such version.
            EngineError: If one cannot be read.
        """
        (old_name, old), (new_name, new) = (self._named(client, wanted) for wanted in (before, after))
        changes = compare_packages(self._held_by(client, old.image_id), self._held_by(client, new.image_id))
        return BaseDiff(old_name, new_name, changes, old.size_bytes, new.size_bytes)

    def contents(self, client: APIClient, wanted: str) -> BaseContents:
        """What a base holds, pip's packages first; named as in `compare`.

        Raises:
            BaseError: If there is no such version.
            EngineError: If it cannot be read.
        """
        name, image = self._named(client, wanted)
        found = sorted(self._held_by(client, image.image_id), key=lambda one: (one.manager != "pip", one))
        return BaseContents(name, image.image_id, tuple(BasePackage(*one) for one in found))

    def labels(self, client: APIClient) -> Mapping[str, str]:
        """What a base that is built now says of itself.

        Raises:
            SplitdeckError: If an input cannot be read or the engine does not answer.
        """
        inputs = self.read_inputs(client)
        taken = all_tags(client, self._base.image)
        now = datetime.fromtimestamp(self._clock.now(), tz=timezone.utc)
        parent = inputs.parent_names[0] if inputs.parent_names else ""
        identity = inputs.parents.get(parent, "")
        return {
            **inputs.labels(),
            OCI_CREATED: now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            OCI_VERSION: date_tag(now.date(), taken),
            # Where these are not known they are empty, lest the parent's own seem to be ours.
            LABEL_BASE: "",
            OCI_REVISION: committed_revision(self._config.root, inputs.files),
            OCI_BASE_NAME: parent,
            OCI_BASE_DIGEST: identity.removeprefix("digest:") if identity.startswith("digest:") else "",
        }

    def foundation(self, client: APIClient) -> Foundation | None:
        """What an app image that is built now is to stand on; None where that is not on the engine.

        Raises:
            EngineError: If the engine does not say.
        """
        found = find_base(client, self.reference)
        if found is None:
            return None
        base = {LABEL_BASE: found.image_id, OCI_BASE_NAME: self.reference, OCI_BASE_DIGEST: found.digest}
        not_of_the_app = dict.fromkeys((OCI_CREATED, OCI_VERSION, OCI_REVISION), "")
        return Foundation(self.reference, found.image_id, found.layers, {**base, **not_of_the_app})

    @property
    def rolled_back(self) -> bool:
        """Whether somebody rolled back, and the inputs are what they were then."""
        then = self._memory.get().rolled_back_inputs
        return bool(then) and self.inputs is not None and then == self.inputs.fingerprint

    def _held(
        self, client: APIClient, remembered: Remembered, status: BaseStatus, inputs: BaseInputs
    ) -> HeldBase | None:
        """What is remembered as held, if it is still true."""
        held = remembered.held
        if held is None:
            return None
        if held.because is HeldBecause.BUILD:
            same = remembered.held_inputs == inputs.fingerprint
            return held if same and status.fingerprint != status.inputs_fingerprint else None
        candidate = self.candidate(client)
        return held if candidate is not None and candidate.image_id == remembered.held_image else None

    def _pins(self) -> set[str]:
        """The tags and digests that config.toml, a compose file or .env of this folder names."""
        pins = {part for part in self.version.split("@") if part and part != LATEST}
        names = {self._base.image, self._base.remote} - {""}
        for place in (*self._config.root.glob("*compose*.y*ml"), self._config.root / ".env"):
            try:
                if place.is_file():
                    pins |= pins_in(place.read_text(encoding="utf-8", errors="replace"), names)
            except OSError as error:
                message = f"{place} cannot be read, and it may pin a base: {error.strerror}"
                raise BaseError(message, "give your user the right to read it, or move it away") from error
        return pins

    def _named(self, client: APIClient, wanted: str) -> tuple[str, BaseImage]:
        """What people call the one that is meant, and itself."""
        versions = list_versions(client, self._base.image)
        one = find_version(versions, wanted)
        image = find_base(client, one.image_id) if one else None
        if one is not None and image is not None:
            return one.name, image
        candidate = self.candidate(client)
        if candidate is not None and wanted in (CANDIDATE, candidate.image_id):
            return CANDIDATE, candidate
        known = some([one.name for one in versions]) if versions else "none"
        raise BaseError(f"there is no version {wanted} of {self._base.image} on this engine", f"there are: {known}")

    def _held_by(self, client: APIClient, image_id: str) -> tuple[Package, ...]:
        """The packages in an image."""
        known = self._packages.get(image_id)
        if known is not None:
            return known
        return self._packages.keep(image_id, read_packages(client, image_id, project=self._config.project.name))
