"""What was told to have changed, as paths of the build context."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from console.build.context.files import Kind, parents


def told_paths(root: str, named: set[str], known: Mapping[str, Kind]) -> set[str] | None:
    """The paths below the root, without links on the way to them; None where that is in doubt, or the root among them.

    The kernel may report a file under a link's name: a directory that two paths lead to has one watch. If that link has
    changed since, it does not tell any more where the file is.

    Args:
        root: The build context's directory.
        named: Absolute paths, as they were reported.
        known: What there was before.
    """
    beneath = f"{root.rstrip('/')}/"
    paths = set()
    real: dict[str, str] = {}
    for place in named:
        directory, _, name = place.rpartition("/")
        if directory not in real:
            for above in parents(place.removeprefix(beneath)):
                if f"{beneath}{above}" in named and known.get(above) is not Kind.DIR:
                    return None
            real[directory] = os.path.realpath(directory or "/").rstrip("/")
            if known.get(directory.removeprefix(beneath)) is not Kind.DIR and not Path(real[directory] or "/").is_dir():
                return None
        place = f"{real[directory]}/{name}"
        if beneath.startswith(f"{place}/"):
            return None
        if place.startswith(beneath):
            paths.add(place[len(beneath) :])
    return paths
