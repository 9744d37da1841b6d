"""What a base image is made of, as a fingerprint: it tells whether the base stands for its inputs, and which changed.

Content only, never times: a checkout or a copy does not make a base stale.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from console.base.versions import BaseImage
from console.base_values import BaseStatus
from console.build.context import Kind, select_files
from console.build.dockerfile import read_dockerfile
from console.build.recipe import LoadIgnore, recipe_for
from console.config import Config
from console.errors import ContextError
from console.model import Target

_LISTED_AT_MOST = 200
"""Labels are no place for thousands of names; beyond that only the fingerprint tells."""


@dataclass(frozen=True, slots=True)
class BaseInputs:
    """Everything that a base build reads."""

    files: dict[str, str]
    """Path relative to the project's folder → hash of the content."""
    fingerprint: str

    def label(self) -> str:
        """The inputs as they are written on the image."""
        if len(self.files) > _LISTED_AT_MOST:
            return "{}"
        return json.dumps({path: digest[:12] for path, digest in self.files.items()}, sort_keys=True)

    def changed_since(self, image: BaseImage) -> tuple[str, ...]:
        """The inputs that differ from those that an image was built from; empty where that is not known."""
        if not image.fingerprint or image.fingerprint == self.fingerprint:
            return ()
        now = {path: digest[:12] for path, digest in self.files.items()}
        differing = {path for path in now.keys() | image.inputs.keys() if now.get(path) != image.inputs.get(path)}
        return tuple(sorted(differing)) if image.inputs and differing else ("build arguments or many files",)


def read_base_inputs(config: Config, load_ignore: LoadIgnore) -> BaseInputs:
    """Reads the base's inputs as they are now: its Dockerfile, what that copies, [base] inputs, build arguments.

    Raises:
        DockerfileError: If the Dockerfile makes no sense.
        ContextError: If an input cannot be read.
    """
    recipe = recipe_for(config, Target.BASE)
    dockerfile = read_dockerfile(recipe.dockerfile, recipe.args)
    rules = load_ignore(recipe.context, recipe.dockerfile)
    paths = {recipe.dockerfile}
    selection = select_files(str(recipe.context), dockerfile.context_sources(), rules)
    paths.update(recipe.context / name for name, kind in selection.entries.items() if kind is Kind.FILE)
    paths.update(found for pattern in config.base.inputs for found in config.root.glob(pattern) if found.is_file())
    files = {_relative(path, config.root): _hash(path) for path in sorted(paths)}
    return BaseInputs(files, _combined(files, recipe.args.items()))


def status_of(reference: str, image: BaseImage | None, inputs: BaseInputs) -> BaseStatus:
    """What is known of the base, in one value."""
    if image is None:
        return BaseStatus(reference, present=False, inputs_fingerprint=inputs.fingerprint)
    return BaseStatus(
        reference,
        present=True,
        image_id=image.image_id,
        created_at=image.created_at,
        size_bytes=image.size_bytes,
        fingerprint=image.fingerprint,
        inputs_fingerprint=inputs.fingerprint,
        stale_files=inputs.changed_since(image),
    )


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        hint = "give your user the right to read it, or leave it out of the base image"
        raise ContextError(f"an input of the base image cannot be read: {error}", hint) from error


def _combined(files: dict[str, str], args: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for kind, pairs in (("file", files.items()), ("arg", args)):
        for key, value in sorted(pairs):
            digest.update(f"{kind}\0{key}\0{value}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
