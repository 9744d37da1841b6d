"""What a base image is made of, as a fingerprint: it tells whether the base stands for its inputs, and which changed.

Content only, never times: a checkout or a copy does not make a base stale. The inputs are files (the Dockerfile, what
it takes from its build context, [base] inputs), the build arguments that it declares, and the images that it is built
on. They are written on the image one by one, so that what changed can be named.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from console.base.versions import BaseImage
from console.base_values import BaseStatus
from console.build.context import Kind, select_files
from console.build.dockerfile import read_dockerfile
from console.build.recipe import LoadIgnore, recipe_for
from console.config import Config
from console.errors import ContextError
from console.model import LABEL_ARGS, LABEL_FINGERPRINT, LABEL_INPUTS, LABEL_PARENTS, Target

_LISTED_AT_MOST = 200
"""Labels are no place for thousands of names; beyond that only their common hash tells."""
_ALL_FILES = "*"
_SHORT = 12

Identify = Callable[[Iterable[str]], Mapping[str, str]]
"""What identifies images, by name; those that are not known here are left out."""


def nothing_known(_names: Iterable[str]) -> Mapping[str, str]:
    """Where the images that the base is built on are not looked up."""
    return {}


@dataclass(frozen=True, slots=True)
class BaseInputs:
    """Everything that a base build depends on."""

    files: Mapping[str, str]
    """Path relative to the project's folder → hash of the content."""
    args: Mapping[str, str] = field(default_factory=dict)
    """Build argument that the Dockerfile declares → hash of its value; not those that are a machine's to say."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """Image that it is built on → what identifies it; those that are not known here are left out."""
    parent_names: tuple[str, ...] = ()
    """All images that it is built on, as the Dockerfile names them."""

    @property
    def fingerprint(self) -> str:
        """One hash of it all."""
        digest = hashlib.sha256()
        for kind, pairs in (("file", self.files), ("arg", self.args), ("image", self.parents)):
            for key, value in sorted(pairs.items()):
                digest.update(f"{kind}\0{key}\0{value}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def labels(self) -> dict[str, str]:
        """As they are written on the image."""
        return {
            LABEL_FINGERPRINT: self.fingerprint,
            LABEL_INPUTS: json.dumps(self._listed(), sort_keys=True),
            LABEL_ARGS: json.dumps(dict(self.args), sort_keys=True),
            LABEL_PARENTS: json.dumps(dict(self.parents), sort_keys=True),
        }

    def standing_for(self, image: BaseImage) -> BaseInputs:
        """These inputs with what the image was built on where that cannot be compared here: an image that is not on
        this engine, or that another kind of store identifies in another way."""
        known = {name: now for name, now in self.parents.items() if _comparable(now, image.parents.get(name, ""))}
        missing = {name: image.parents[name] for name in self.parent_names if name in image.parents}
        return BaseInputs(self.files, self.args, missing | known, self.parent_names)

    def changed_since(self, image: BaseImage) -> tuple[str, ...]:
        """The inputs that differ from those that an image was built from; empty where that is not known."""
        if not image.fingerprint:
            return ()
        mine = self.standing_for(image)
        if mine.fingerprint == image.fingerprint:
            return ()
        files = _differing(mine._listed(), image.inputs) if image.inputs else ()  # noqa: SLF001 - its own kind
        named = ["many files" if name == _ALL_FILES else name for name in files]
        named += [f"build argument {name}" for name in _differing(mine.args, image.args)]
        named += [f"image {name}" for name in _differing(mine.parents, image.parents)]
        return tuple(named) or ("how inputs are counted",)

    def _listed(self) -> dict[str, str]:
        if len(self.files) <= _LISTED_AT_MOST:
            return {path: digest[:_SHORT] for path, digest in self.files.items()}
        whole = hashlib.sha256(json.dumps(dict(self.files), sort_keys=True).encode("utf-8", "surrogateescape"))
        return {_ALL_FILES: whole.hexdigest()[:_SHORT]}


def read_base_inputs(config: Config, load_ignore: LoadIgnore, identify: Identify = nothing_known) -> BaseInputs:
    """Reads the base's inputs as they are now.

    Args:
        config: The project.
        load_ignore: Reads .dockerignore.
        identify: Looks up the images that the base is built on.

    Raises:
        DockerfileError: If the Dockerfile makes no sense.
        ContextError: If an input cannot be read.
        EngineError: If `identify` raises it.
    """
    recipe = recipe_for(config, Target.BASE)
    dockerfile = read_dockerfile(recipe.dockerfile, recipe.args)
    rules = load_ignore(recipe.context, recipe.dockerfile)
    followed = {recipe.dockerfile}
    followed.update(found for pattern in config.base.inputs for found in config.root.glob(pattern) if found.is_file())
    selection = select_files(str(recipe.context), dockerfile.context_sources(), rules)
    taken = (Kind.FILE, Kind.LINK)
    copied = {recipe.context / name for name, kind in selection.entries.items() if kind in taken} - followed
    hashed = {path: _hash(path) for path in copied} | {path: _hash(path, follow=True) for path in followed}
    files = {_relative(path, config.root): digest for path, digest in sorted(hashed.items())}
    declared = dockerfile.declared_args()
    written = {name: value for name, value in config.build.args.items() if isinstance(value, str)}
    args = {name: _short_hash(value) for name, value in written.items() if name in declared}
    names = dockerfile.base_images()
    return BaseInputs(files, args, dict(identify(names)), names)


def status_of(reference: str, image: BaseImage | None, inputs: BaseInputs, name: str = "") -> BaseStatus:
    """What is known of the base, in one value; `name` is what people call it."""
    if image is None:
        return BaseStatus(reference, present=False, inputs_fingerprint=inputs.fingerprint)
    return BaseStatus(
        reference,
        present=True,
        image_id=image.image_id,
        created_at=image.created_at,
        size_bytes=image.size_bytes,
        fingerprint=image.fingerprint,
        inputs_fingerprint=inputs.standing_for(image).fingerprint,
        stale_files=inputs.changed_since(image),
        version=name,
        digest=image.digest,
    )


def _comparable(now: str, then: str) -> bool:
    """Whether two identities are of the same kind: an image's ID says nothing about a registry's digest."""
    return not then or now.partition(":")[0] == then.partition(":")[0]


def _differing(now: Mapping[str, str], then: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name)))


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_SHORT]


def _hash(path: Path, *, follow: bool = False) -> str:
    """Of a file's content and whether it can be run; of a link's target, unless it is followed."""
    try:
        if path.is_symlink() and not follow:
            return hashlib.sha256(b"link\0" + os.fsencode(path.readlink())).hexdigest()
        mark = b"run\0" if path.stat().st_mode & 0o111 else b""
        return hashlib.sha256(mark + path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        hint = "give your user the right to read it, or leave it out of the base image"
        raise ContextError(f"an input of the base image cannot be read: {error}", hint) from error
