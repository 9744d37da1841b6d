"""Whether an app image stands on the base image that it is meant to stand on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from console.base_values import Foundation
from console.build.dockerfile import Dockerfile
from console.model import BuildOutcome, BuildStatus, BuildWarning, StepFailure

if TYPE_CHECKING:
    from docker import APIClient


class Bases(Protocol):
    """The base images of a project, for its builds; asked on a build's thread."""

    @property
    def version(self) -> str:
        """What app builds stand on, as [base] version has it."""

    def labels(self, client: APIClient) -> Mapping[str, str]:
        """What a base that is built now says of itself."""

    def foundation(self, client: APIClient) -> Foundation | None:
        """What an app image that is built now is to stand on; None where that is not on the engine."""


def check_foundation(
    outcome: BuildOutcome,
    image: Mapping[str, Any],
    foundation: Foundation,
    dockerfile: Dockerfile,
    target: str,
    warn: Callable[[BuildWarning], None],
) -> BuildOutcome:
    """The outcome of an app build, failed where the image does not stand on its base though its Dockerfile asks for it.

    One whose Dockerfile does not ask for it is remarked on.

    Args:
        outcome: A build that succeeded.
        image: What the engine says of the image that it made.
        foundation: What it is to stand on.
        dockerfile: What it was built from.
        target: The stage that was built; empty for the last.
        warn: Hears of the remark.
    """
    layers = tuple((image.get("RootFS") or {}).get("Layers") or ())
    if not layers or layers[: len(foundation.layers)] == foundation.layers:
        return outcome
    root = dockerfile.root(target or None)
    if root.image == foundation.reference:
        message = f"the app image does not stand on {foundation.reference}, which changed while it was built"
        return replace(outcome, status=BuildStatus.FAILED, failure=StepFailure("", message, dockerfile.path))
    message = f"the app image stands on {root.image}, and not on the base image {foundation.reference}"
    detail = ("Begin its last stage with `FROM ${BASE_IMAGE}`, and the Dockerfile with `ARG BASE_IMAGE`.",)
    warning = BuildWarning(message, detail, dockerfile=dockerfile.path, lines=((root.line, root.line),))
    warn(warning)
    return replace(outcome, warnings=(*outcome.warnings, warning))
