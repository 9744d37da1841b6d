"""Which way images are built: the choice, what it says of itself, and what is refused before any build."""

from __future__ import annotations

from typing import Any

import pytest

from console.build.backend import (
    BuildxBuilder,
    BuildxProbe,
    SessionProbe,
    buildx_needed_for,
    choose_backend,
)
from console.caches import parse_cache
from console.config import BuildConfig, SecretConfig
from console.errors import BuildError
from console.model import BuilderInfo, EngineInfo

HOST = "unix:///engine.sock"
GRAPH = EngineInfo("docker", "28.5.2", "1.51", "buildkit", "overlay2", HOST)
CONTAINERD = EngineInfo("docker", "28.5.2", "1.51", "buildkit", "containerd", HOST)
WITHOUT_BUILDKIT = EngineInfo("docker", "18.06.3", "1.38", "classic", "overlay2", HOST)
PODMAN = EngineInfo("podman", "5.8.6", "1.44", "buildah", "overlay", HOST)

OPEN = SessionProbe(available=True)
SHUT = SessionProbe(available=False, reason="it hung up")
NO_BUILDX = BuildxProbe(None, reason="docker: unknown command: docker buildx")
OWN = BuildxBuilder("docker", ("linux/amd64", "linux/386"), HOST)
BUILDX = BuildxProbe(
    "0.29.1",
    {
        "default": OWN,
        "elsewhere": BuildxBuilder("docker", ("linux/amd64",), "tcp://elsewhere:2376"),
        "container": BuildxBuilder("docker-container", ("linux/amd64", "linux/arm64"), HOST),
        "asleep": BuildxBuilder("docker-container"),
        "broken": BuildxBuilder("", problem="cannot connect"),
    },
)
SECRETS = {"token": SecretConfig(env="TOKEN")}
REGISTRY_BASE = "ghcr.io/me/base:latest"


def choose(
    engine: EngineInfo = GRAPH,
    session: SessionProbe = OPEN,
    buildx: BuildxProbe = NO_BUILDX,
    base: str = "shop-base:latest",
    **settings: Any,
) -> BuilderInfo:
    return choose_backend(BuildConfig(**settings), engine, session, buildx, base=base)


def refused(**arguments: Any) -> BuildError:
    with pytest.raises(BuildError) as caught:
        choose(**arguments)
    assert caught.value.hint, "every refusal says what to do"
    return caught.value


def told(info: BuilderInfo) -> str:
    return " ".join(info.limits)


# -- the engine's own BuildKit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["auto", "engine"])
def test_a_session_with_the_engine_is_the_usual_way_and_has_no_limits(backend: str) -> None:
    info = choose(backend=backend, secrets=SECRETS, ssh=("default",))
    assert (info.backend, info.transport, info.limits, info.exact) == ("engine", "session", (), True)


def test_without_a_session_a_tar_goes_and_says_why_and_what_it_cannot() -> None:
    info = choose(session=SHUT)
    assert (info.backend, info.transport, info.exact) == ("engine", "tar", True)
    assert "it hung up" in info.reason
    assert "all files" in told(info)
    assert "no build secrets" in told(info)
    assert "registry" not in told(info).replace("registry credentials", "")
    assert "asks the base image's registry" in told(choose(CONTAINERD, session=SHUT))


def test_a_tar_may_be_asked_for() -> None:
    info = choose(transport="tar")
    assert (info.transport, info.reason) == ("tar", '[build] transport is "tar"')
    assert 'set it to "auto"' in refused(transport="tar", secrets=SECRETS).hint


@pytest.mark.parametrize("engine", [GRAPH, WITHOUT_BUILDKIT, PODMAN])
def test_a_session_that_is_asked_for_is_had_or_refused(engine: EngineInfo) -> None:
    assert "transport" in refused(engine=engine, session=SHUT, transport="session").message


@pytest.mark.parametrize(
    "needing", [{"secrets": SECRETS}, {"ssh": ("default",)}, {"cache_from": ("type=registry,ref=r/c,x=y",)}]
)
def test_what_takes_a_session_goes_through_buildx_where_there_is_none(needing: dict[str, Any]) -> None:
    info = choose(session=SHUT, buildx=BUILDX, **needing)
    assert (info.backend, info.builder) == ("buildx", "default")
    (key,) = needing
    assert f"[build] {key}" in info.reason
    error = refused(session=SHUT, **needing)
    assert f"[build] {key} cannot be had" in error.message
    assert "it hung up" in error.message
    assert "buildx" in error.hint
    assert "it hung up" in refused(session=SHUT, buildx=BUILDX, backend="engine", **needing).message


def test_an_images_name_is_a_cache_that_a_tar_can_use() -> None:
    assert choose(session=SHUT, cache_from=("ghcr.io/me/shop",)).transport == "tar"


# -- caches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ("ghcr.io/me/shop:cache", "registry"),
        ("type=registry,ref=ghcr.io/me/shop", "registry"),
        ("ref=ghcr.io/me/shop", "registry"),
        ("type=local,dest=/cache", "local"),
        ("dest=/cache,type=local", "local"),
        ("mode=max,type=gha", "gha"),
    ],
)
def test_the_kind_of_a_cache(entry: str, kind: str) -> None:
    assert parse_cache(entry).kind == kind


def test_a_cache_is_read_as_one_line_of_csv() -> None:
    cache = parse_cache('type=local, SRC=/a,"dest=/b,type=gha"')
    assert (cache.kind, cache.attributes) == ("local", {"src": "/a", "dest": "/b,type=gha"})
    assert parse_cache(cache.text()) == cache
    for wrong in ("type=local,/c", 'type=local,"src=/c', "=x"):
        with pytest.raises(ValueError, match="not"):
            parse_cache(wrong)


@pytest.mark.parametrize(
    ("engine", "settings"),
    [
        (GRAPH, {"cache_to": ("type=inline",)}),
        (GRAPH, {"cache_from": ("type=registry,ref=r/c", "r/c")}),
        (CONTAINERD, {"cache_to": ("type=inline", "type=registry,ref=r/c")}),
        (CONTAINERD, {"cache_from": ("type=registry,ref=r/c",)}),
    ],
)
def test_caches_that_the_engine_can_use_itself_take_no_buildx(engine: EngineInfo, settings: dict[str, Any]) -> None:
    assert buildx_needed_for(BuildConfig(**settings), engine) == ""
    assert choose(engine, **settings).backend == "engine"


@pytest.mark.parametrize(
    ("engine", "settings", "kind"),
    [
        (GRAPH, {"cache_to": ("type=local,dest=/c",)}, "local"),
        (GRAPH, {"cache_to": ("type=registry,ref=r/c",)}, "registry"),
        (GRAPH, {"cache_from": ("type=gha",)}, "gha"),
        (CONTAINERD, {"cache_to": ("type=inline", "type=s3,bucket=b")}, "s3"),
        (WITHOUT_BUILDKIT, {"cache_to": ("type=inline",)}, "inline"),
        (PODMAN, {"cache_from": ("type=local,src=/c",)}, "local"),
    ],
)
def test_a_cache_that_the_engine_cannot_use_takes_a_builder_that_can(
    engine: EngineInfo, settings: dict[str, Any], kind: str
) -> None:
    assert f"a cache of type {kind}" in buildx_needed_for(BuildConfig(**settings), engine)
    error = refused(engine=engine, buildx=BUILDX, **settings)
    assert "docker buildx create" in error.hint
    info = choose(engine, buildx=BUILDX, base=REGISTRY_BASE, builder="container", **settings)
    assert (info.backend, info.builder) == ("buildx", "container")


def test_githubs_cache_goes_through_the_command_on_the_containerd_store() -> None:
    settings = {"cache_to": ("type=gha",), "cache_from": ("type=gha",)}
    assert choose(CONTAINERD, buildx=BUILDX, **settings).backend == "buildx"


# -- buildx -----------------------------------------------------------------------------------------------------------


def test_buildx_is_taken_where_the_config_says_so() -> None:
    info = choose(backend="buildx", buildx=BUILDX)
    assert (info.backend, info.transport, info.builder, info.exact) == ("buildx", "command", "default", True)
    assert "backend" in info.reason
    assert "registry" not in told(info), "the engine's own builder sees the engine's images"


def test_a_builder_of_its_own_takes_its_base_from_a_registry() -> None:
    info = choose(builder="container", buildx=BUILDX, base=REGISTRY_BASE)
    assert "from its registry" in told(info)
    assert "copied into the engine" in told(info)
    error = refused(builder="container", buildx=BUILDX)
    assert "does not see this engine's images" in error.message
    assert "shop-base:latest" in error.message
    assert "push" in error.hint
    assert choose(builder="container", buildx=BUILDX, base="me/base:1").builder == "container", "that is Docker Hub"


def test_several_platforms_take_buildx_and_a_store_that_holds_them() -> None:
    both = "linux/amd64, linux/386"
    info = choose(CONTAINERD, buildx=BUILDX, platform=both)
    assert (info.backend, info.builder) == ("buildx", "default")
    assert "RUN" not in told(info)
    assert "overlay2" in refused(buildx=BUILDX, platform=both).message
    assert "overlay store of podman" in refused(engine=PODMAN, buildx=BUILDX, platform=both).message
    assert choose(platform="linux/arm64").backend == "engine"


def test_a_platform_whose_programs_do_not_run_there_is_told() -> None:
    info = choose(CONTAINERD, buildx=BUILDX, platform="linux/amd64,linux/arm64")
    assert "cannot run programs for linux/arm64" in told(info)
    settings = {"buildx": BUILDX, "base": REGISTRY_BASE, "platform": "linux/amd64,linux/arm64/v8"}
    assert "RUN" not in told(choose(CONTAINERD, builder="container", **settings)), "arm64/v8 is arm64"
    assert "RUN" not in told(choose(CONTAINERD, builder="asleep", **settings)), "one that sleeps does not tell"


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"backend": "buildx"}, "backend"), ({"builder": "container"}, "builder"), ({"platform": "a/b,c/d"}, "platform")],
)
def test_without_buildx_what_needs_it_is_refused(settings: dict[str, Any], key: str) -> None:
    error = refused(**settings)
    assert f"[build] {key}" in error.message
    assert "unknown command" in error.message
    assert "0.12.1" in refused(buildx=BuildxProbe("0.12.1", {"default": OWN}), **settings).message


def test_a_builder_that_nobody_knows_is_told_with_the_nearest() -> None:
    error = refused(builder="contaner", buildx=BUILDX)
    assert "knows no builder 'contaner'" in error.message
    assert "'container'" in error.hint
    assert "there are: default, elsewhere" in refused(builder="zzz", buildx=BUILDX).hint


def test_a_builder_that_cannot_be_used_is_refused() -> None:
    assert "cannot connect" in refused(builder="broken", buildx=BUILDX).message
    error = refused(builder="elsewhere", buildx=BUILDX)
    assert "tcp://elsewhere:2376" in error.message
    assert "docker context use elsewhere" in error.hint


@pytest.mark.parametrize("transport", ["session", "tar"])
@pytest.mark.parametrize("settings", [{"backend": "buildx"}, {"builder": "container"}])
def test_buildx_has_a_transport_of_its_own(settings: dict[str, Any], transport: str) -> None:
    error = refused(buildx=BUILDX, base=REGISTRY_BASE, transport=transport, **settings)
    assert f'[build] transport is "{transport}"' in error.message
    assert "transport" in error.hint


@pytest.mark.parametrize(
    ("engine", "found", "name"),
    [
        (GRAPH, BuilderInfo("engine", "session", ""), "docker 28.5.2 buildkit overlay2"),
        (GRAPH, BuilderInfo("engine", "tar", ""), "docker 28.5.2 buildkit overlay2 by tar"),
        (GRAPH, BuilderInfo("classic", "tar", ""), "docker 28.5.2 buildkit overlay2 by the classic builder"),
        (
            CONTAINERD,
            BuilderInfo("buildx", "command", "", builder="far"),
            "docker 28.5.2 buildkit containerd by buildx far",
        ),
        (WITHOUT_BUILDKIT, BuilderInfo("classic", "tar", ""), "docker 18.06.3 classic overlay2"),
        (PODMAN, BuilderInfo("podman", "tar", ""), "podman 5.8.6 buildah overlay"),
    ],
)
def test_figures_of_different_ways_to_build_are_kept_apart(engine: EngineInfo, found: BuilderInfo, name: str) -> None:
    assert found.measured_on(engine) == name


@pytest.mark.parametrize("backend", ["engine", "classic"])
def test_two_keys_that_contradict_each_other_are_refused(backend: str) -> None:
    error = refused(backend=backend, builder="container", buildx=BUILDX, base=REGISTRY_BASE)
    assert "[build] builder is 'container'" in error.message
    assert f'backend is "{backend}"' in error.message


# -- without BuildKit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["auto", "engine", "classic"])
@pytest.mark.parametrize(("engine", "name"), [(PODMAN, "podman"), (WITHOUT_BUILDKIT, "classic")])
def test_what_builds_without_buildkit_says_what_it_cannot(engine: EngineInfo, name: str, backend: str) -> None:
    info = choose(engine, session=SHUT, backend=backend)
    assert (info.backend, info.transport, info.exact) == (name, "tar", False)
    for limit in ("arrive here", "no build secrets", "no warnings", "all files"):
        assert limit in told(info)


def test_the_classic_builder_may_be_asked_for() -> None:
    assert choose(backend="classic").backend == "classic"
    assert "two seconds" not in told(choose(backend="classic"))
    assert "two seconds" in told(choose(CONTAINERD, backend="classic"))


@pytest.mark.parametrize("engine", [PODMAN, WITHOUT_BUILDKIT])
@pytest.mark.parametrize("needing", [{"secrets": SECRETS}, {"ssh": ("default",)}])
def test_secrets_are_refused_where_they_cannot_be_had(engine: EngineInfo, needing: dict[str, Any]) -> None:
    assert "cannot be had" in refused(engine=engine, session=SHUT, **needing).message


@pytest.mark.parametrize("engine", [PODMAN, WITHOUT_BUILDKIT])
def test_buildx_needs_a_builder_of_its_own_where_the_engine_has_no_buildkit(engine: EngineInfo) -> None:
    assert "offers buildx no BuildKit" in refused(engine=engine, backend="buildx", buildx=BUILDX).message
    assert choose(engine, buildx=BUILDX, base=REGISTRY_BASE, builder="container").backend == "buildx"
