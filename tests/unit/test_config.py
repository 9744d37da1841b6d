"""config.toml: defaults, paths, and errors that name file, key, value and what to write in its place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from console.config import Config, find_config, load_config
from console.errors import ConfigError, ExitCode
from console.places import Port, parse_port

ROOT = Path(__file__).parents[2]
MINIMAL = '[base]\ndockerfile = "base.Dockerfile"\n\n[app]\ndockerfile = "app.Dockerfile"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "My Shop"
    (folder / "src").mkdir(parents=True)
    for name in ("base.Dockerfile", "app.Dockerfile", "Dockerfile.legacy", "src/app.Dockerfile"):
        (folder / name).write_text("FROM scratch\n")
    return folder


def load(project: Path, text: str) -> Config:
    (project / "config.toml").write_text(text, encoding="utf-8")
    return load_config(project / "config.toml")


def refused(project: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(project, text)
    assert caught.value.message.startswith(f"{project / 'config.toml'}: ")
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint, "every error says what to do"
    return caught.value


# -- what is accepted -------------------------------------------------------------------------------------------------


def test_five_lines_are_a_whole_config(project: Path) -> None:
    config = load(project, MINIMAL)
    assert len(MINIMAL.splitlines()) == 5
    assert config.root == project
    assert config.project.name == "my-shop"
    assert (config.base.image, config.base.reference) == ("my-shop-base", "my-shop-base:latest")
    assert (config.app.image, config.legacy) == ("my-shop", None)
    assert (config.base.context, config.app.context, config.watch.paths) == (project, project, (project,))
    assert (config.base.on_change, config.watch.on_busy, config.run.swap) == ("ask", "restart", "auto")
    assert (config.watch.quiet_ms, config.watch.ceiling_ms, config.run.stop_grace_s) == (50, 1000, 2)
    assert (config.run.init, config.run.ready.timeout_s) == (True, 30.0)
    assert (config.compare.targets.app_build_s, config.compare.targets.reduction) == (60.0, 0.8)


def test_every_key_does_what_it_says(project: Path) -> None:
    config = load(
        project,
        """
        [project]
        name = "shop"
        [build]
        backend = "engine"
        network = "host"
        platform = "linux/arm64"
        args = { PYTHON = "3.12" }
        [base]
        dockerfile = "base.Dockerfile"
        image = "ghcr.io/me/shop-base"
        context = "src"
        version = "2026.11.23"
        inputs = ["*.lock"]
        on_change = "build"
        [app]
        dockerfile = "src/app.Dockerfile"
        image = "shop/app"
        context = "."
        target = "final"
        [legacy]
        dockerfile = "Dockerfile.legacy"
        [run]
        ports = ["8000:8000", "0.0.0.0:53:53/udp"]
        environment = { MODE = "dev" }
        env_file = ".env"
        volumes = ["./data:/data", "cache:/cache:ro"]
        command = ["serve", "--reload"]
        network = "backend"
        init = false
        stop_grace_s = 0
        swap = "recreate"
        [run.ready]
        http = "/health"
        tcp = "localhost:8000"
        log = "started|ready"
        healthcheck = true
        timeout_s = 5
        [watch]
        paths = ["src", "app.Dockerfile"]
        ignore = ["*.tmp"]
        quiet_ms = 100
        ceiling_ms = 100
        on_busy = "queue"
        poll = "true"
        [compare.targets]
        app_build_s = 10
        reduction = 0.5
        iteration = 2
        [[compare.stage]]
        name = "Assets"
        match = "npm .*"
        [ui]
        theme = "nord"
        """,
    )
    assert config.base.reference == "ghcr.io/me/shop-base:2026.11.23"
    assert config.base.context == project / "src"
    assert config.base.dockerfile == project / "base.Dockerfile", "the Dockerfile is relative to the file, too"
    assert config.app.dockerfile == project / "src/app.Dockerfile"
    assert config.app.context == project
    assert config.legacy is not None
    assert (config.legacy.image, config.legacy.context) == ("shop-legacy", project)
    assert config.run.env_file == project / ".env"
    assert config.run.environment == {"MODE": "dev"}
    assert config.watch.paths == (project / "src", project / "app.Dockerfile")
    assert [stage.match for stage in config.compare.stage] == ["npm .*"]
    assert (config.run.ready.timeout_s, config.ui.theme) == (5.0, "nord")


def test_a_base_pinned_by_digest_has_no_tag(project: Path) -> None:
    pin = "@sha256:" + "0a" * 32
    assert load(project, MINIMAL.replace("[app]", f'version = "{pin}"\n[app]')).base.reference == f"my-shop-base{pin}"


def test_paths_are_relative_to_the_file_wherever_one_stands(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(project, MINIMAL)
    monkeypatch.chdir(project / "src")
    config = load_config(Path("../config.toml"))
    assert config.app.dockerfile.samefile(project / "app.Dockerfile")
    assert config.path.is_absolute()


def test_paths_come_out_without_dots(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.parent / "shared").mkdir()
    text = """
        [base]
        dockerfile = "src/../base.Dockerfile"
        [app]
        dockerfile = "./src/app.Dockerfile"
        context = ".."
        [run]
        env_file = "../.env"
        [watch]
        paths = ["../shared", "src/.", "."]
        """
    load(project, text)
    monkeypatch.chdir(project / "src")
    config = load_config(Path("../config.toml"))
    assert (config.root, config.path) == (project, project / "config.toml")
    assert config.base.dockerfile == project / "base.Dockerfile"
    assert (config.app.context, config.run.env_file) == (project.parent, project.parent / ".env")
    assert config.watch.paths == (project.parent / "shared", project / "src", project)


def test_the_nearest_config_above_is_found(project: Path) -> None:
    load(project, MINIMAL)
    assert find_config(project) == find_config(project / "src") == project / "config.toml"
    (project / "src/config.toml").write_text(MINIMAL)
    assert find_config(project / "src") == project / "src/config.toml"


def test_no_config_anywhere_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"no config.toml in {tmp_path}") as caught:
        find_config(tmp_path)
    assert "--config FILE" in caught.value.hint


def test_the_repositorys_own_config_loads() -> None:
    assert load_config(ROOT / "config.toml").legacy is not None


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8000", Port(8000, None)),
        ("8080:8000", Port(8000, 8080)),
        ("53:53/udp", Port(53, 53, protocol="udp")),
        ("0.0.0.0:8080:8000/tcp", Port(8000, 8080, "0.0.0.0")),
        ("127.0.0.2:8000", Port(8000, None, "127.0.0.2")),
        ("[::1]:8080:8000", Port(8000, 8080, "::1")),
    ],
)
def test_ports(text: str, port: Port) -> None:
    assert parse_port(text) == port


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("[runn]\n", "runn", "'run'"),
        ("[path]\n", "path", "'watch'"),
        ("[run]\nport = []\n", "run.port", "'ports'"),
        ("[run.ready]\nhtpp = '/'\n", "run.ready.htpp", "'http'"),
        ("[compare.targets]\nreductions = 1\n", "compare.targets.reductions", "'reduction'"),
        ("[[compare.stage]]\nname = 'x'\nmach = 'y'\n", "compare.stage.mach", "'match'"),
        ("[ui]\nzzz = 1\n", "ui.zzz", "[ui] knows: theme"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_one(project: Path, text: str, key: str, hint: str) -> None:
    error = refused(project, MINIMAL + text)
    assert f"unknown key '{key}'" in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[run]\nports = [8000]\n", "run.ports[0] = 8000: expected `str`, got `int`"),
        ("[run]\nready = 'soon'\n", "run.ready = 'soon': expected `object`, got `str`"),
        ("[run]\nenv_file = 3\n", "run.env_file = 3: expected `str`, got `int`"),
        ("[run.environment]\nOK = 'x'\nPORT = 8000\n", "run.environment.PORT = 8000: expected `str`, got `int`"),
        ("[run]\nstop_grace_s = -1\n", "run.stop_grace_s = -1: expected `int` >= 0"),
        ("[watch]\npaths = 'src'\n", "watch.paths = 'src': expected `array`, got `str`"),
        ("[watch]\nquiet_ms = 0\n", "watch.quiet_ms = 0: expected `int` >= 1"),
        ("[compare.stage]\nname = 'x'\n", "compare.stage = {'name': 'x'}: expected `array`, got `object`"),
        ("[compare.targets]\nreduction = 1.5\n", "compare.targets.reduction = 1.5: expected `float` < 1.0"),
        ("[[compare.stage]]\nname = ''\nmatch = 'x'\n", "compare.stage[0].name = '': expected `str` of length >= 1"),
    ],
)
def test_a_wrong_value_is_told_with_key_value_and_what_was_expected(project: Path, text: str, told: str) -> None:
    assert told in refused(project, MINIMAL + text).message


def test_a_project_that_is_no_table_is_refused(project: Path) -> None:
    assert "project = 3: expected `object`" in refused(project, "project = 3\n" + MINIMAL).message


@pytest.mark.parametrize(
    ("text", "key", "choices"),
    [
        ("[run]\nswap = 'fast'\n", "run.swap = 'fast'", '"auto", "recreate"'),
        ("[watch]\npoll = true\n", "watch.poll = True", '"auto", "true", "false"'),
        ("[build]\nnetwork = 'bridge'\n", "build.network = 'bridge'", '"default", "host", "none"'),
    ],
)
def test_where_only_some_values_count_they_are_listed(project: Path, text: str, key: str, choices: str) -> None:
    error = refused(project, MINIMAL + text)
    assert key in error.message
    assert error.hint == f"one of {choices}"


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "base"),
        ("[app]\ndockerfile = 'app.Dockerfile'\n[base]\n", "base.dockerfile"),
        (MINIMAL + "[legacy]\n", "legacy.dockerfile"),
        (MINIMAL + "[[compare.stage]]\nname = 'x'\n", "compare.stage[0].match"),
    ],
)
def test_what_is_missing_is_named(project: Path, text: str, missing: str) -> None:
    assert f"'{missing}' is missing" in refused(project, text).message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[project]\nname = 'My Shop'\n", "project.name = 'My Shop'"),
        ("[run]\nports = ['http']\n", "run.ports = 'http'"),
        ("[run]\nports = ['8000:70000']\n", "run.ports = '8000:70000'"),
        ("[run]\nports = ['0']\n", "run.ports = '0'"),
        ("[run]\nports = ['300.0.0.1:80:80']\n", "run.ports = '300.0.0.1:80:80'"),
        ("[run]\nvolumes = ['/data']\n", "run.volumes = '/data'"),
        ("[run]\nvolumes = [':/data']\n", "run.volumes = ':/data'"),
        ("[run]\nvolumes = ['a:/b:ro:z']\n", "run.volumes = 'a:/b:ro:z'"),
        ("[run.ready]\nlog = '('\n", "run.ready.log = '('"),
        ("[[compare.stage]]\nname = 'x'\nmatch = '['\n", "compare.stage.match = '['"),
        ("[run.ready]\nhttp = '/health'\n", "run.ready.http = '/health': a path needs a published port"),
        ("[run]\nports = ['53/udp']\n[run.ready]\nhttp = '/'\n", "run.ready.http = '/': a path needs"),
        ("[run.ready]\nhttp = 'https://x/'\n", "run.ready.http = 'https://x/'"),
        ("[run.ready]\nhttp = 'http://x:y/'\n", "run.ready.http = 'http://x:y/'"),
        ("[run.ready]\ntcp = 'web'\n", "run.ready.tcp = 'web'"),
        ("[run.ready]\ntcp = 'localhost:70000'\n", "run.ready.tcp = 'localhost:70000'"),
        ("[watch]\nquiet_ms = 500\nceiling_ms = 400\n", "watch.ceiling_ms = 400: below watch.quiet_ms"),
        ("[watch]\npaths = ['nowhere']\n", "watch.paths = '"),
        ("[legacy]\ndockerfile = 'nope'\n", "legacy.dockerfile = '"),
        ("[legacy]\ndockerfile = 'Dockerfile.legacy'\ncontext = 'nope'\n", "legacy.context = '"),
    ],
)
def test_what_no_type_can_check_is_checked(project: Path, text: str, told: str) -> None:
    assert told in refused(project, MINIMAL + text).message


@pytest.mark.parametrize("pattern", ["/etc/hosts", "", ".", "a**b/**c"])
def test_inputs_are_patterns_relative_to_the_file(project: Path, pattern: str) -> None:
    text = MINIMAL.replace("[app]", f"inputs = ['src/*', '{pattern}']\n[app]")
    if pattern == "a**b/**c" and sys.version_info >= (3, 13):
        assert load(project, text).base.inputs[1] == pattern
        return
    error = refused(project, text)
    assert f"base.inputs = {pattern!r}: not a pattern" in error.message
    assert "relative to config.toml" in error.hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image = 'my-shop-base'\n", "app.image = 'my-shop-base': the same image as base.image; one"),
        ("image = 'x'\n[legacy]\nimage = 'x'\ndockerfile = 'Dockerfile.legacy'\n", "legacy.image = 'x': the same"),
        ("[legacy]\nimage = 'my-shop-base'\ndockerfile = 'Dockerfile.legacy'\n", "legacy.image = 'my-shop-base': the"),
    ],
)
def test_no_two_images_have_one_name(project: Path, text: str, told: str) -> None:
    assert told in refused(project, MINIMAL + text).message


def test_the_base_has_its_name_for_itself_because_its_versions_are_tags_of_it(project: Path) -> None:
    text = MINIMAL.replace("[app]", "image = 'shop'\nversion = '2026.11.23'\n[app]\nimage = 'shop'")
    assert "app.image = 'shop': the same image as base.image" in refused(project, text).message


HERE = "image = 'base'\nrepository = 'here:5000/me/base'"
DIGEST = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("keys", "reference", "remote"),
    [
        ("", "my-shop-base:latest", ""),
        ("image = 'me/base'", "me/base:latest", "me/base"),
        (f"{HERE}\nversion = '2026.11.23'", "base:2026.11.23", "here:5000/me/base"),
        (f"{HERE}\nversion = '{DIGEST}'", f"here:5000/me/base{DIGEST}", "here:5000/me/base"),
        (f"version = '2026.11.23{DIGEST}'", f"my-shop-base:2026.11.23{DIGEST}", ""),
    ],
)
def test_a_digest_is_looked_up_in_the_repository(project: Path, keys: str, reference: str, remote: str) -> None:
    base = load(project, MINIMAL.replace("[app]", f"{keys}\n[app]")).base
    assert (base.reference, base.remote) == (reference, remote)


def test_the_loop_cannot_serve_a_legacy_image_that_nothing_builds(project: Path) -> None:
    assert "app.mode = 'legacy'" in refused(project, MINIMAL + 'mode = "legacy"\n').message


@pytest.mark.parametrize("check", ["['']", "[[]]", "[['python', '']]"])
def test_an_empty_check_is_none(project: Path, check: str) -> None:
    assert "base.check" in refused(project, MINIMAL.replace("[app]", f"check = {check}\n[app]")).message


@pytest.mark.parametrize("version", ["a b", "@sha256:12", "v1:2", "-x"])
def test_a_base_version_is_a_tag_or_a_digest(project: Path, version: str) -> None:
    assert "base.version" in refused(project, MINIMAL.replace("[app]", f'version = "{version}"\n[app]')).message


@pytest.mark.parametrize("section", ["base", "app"])
def test_a_missing_dockerfile_is_told_with_its_whole_path(project: Path, section: str) -> None:
    error = refused(project, MINIMAL.replace(f"{section}.Dockerfile", "lost/Dockerfile"))
    assert f"{section}.dockerfile = '{project / 'lost/Dockerfile'}': no such file" in error.message


@pytest.mark.parametrize("tcp", ["8000", "localhost:8000", "[::1]:8000"])
def test_places_for_tcp_readiness(project: Path, tcp: str) -> None:
    assert load(project, f"{MINIMAL}[run.ready]\ntcp = '{tcp}'\n").run.ready.tcp == tcp


def test_bad_toml_is_told_with_its_line(project: Path) -> None:
    assert "line 6" in refused(project, MINIMAL + "[run\n").message


def test_a_file_that_cannot_be_read_is_told(project: Path, tmp_path: Path) -> None:
    (project / "config.toml").write_bytes(b"# \xff\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(project / "config.toml")
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "other.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_every_error_keeps_its_value_readable(project: Path) -> None:
    """Values are quoted as Python writes them, so that control characters do no harm."""
    assert refused(project, MINIMAL + '[run]\nports = ["80\\u001b[2J\\n"]\n').message.isprintable()


# -- [build] ----------------------------------------------------------------------------------------------------------


def test_every_key_of_build_is_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    build = load(
        project,
        MINIMAL
        + """
        [build]
        backend = "buildx"
        transport = "tar"
        platform = "linux/amd64, linux/arm64/v8"
        builder = "far-1"
        ssh = ["default", "work=~/work.sock", "near=agents/near.sock"]
        cache_from = ["ghcr.io/me/shop:cache", "type=local,src=../cache", "ref=ghcr.io/me/shop"]
        cache_to = ["type=inline", "type=local,dest=~/cache,mode=max", "dest=/c,type=local", 'type=local,"dest=a,b"']
        [build.secrets]
        token = { env = "TOKEN" }
        file = { file = "~/.token" }
        near = { file = "secret.txt" }
        """,
    ).build
    assert (build.backend, build.transport, build.builder) == ("buildx", "tar", "far-1")
    assert build.platform == "linux/amd64, linux/arm64/v8"
    assert build.ssh == ("default", "work=/home/me/work.sock", f"near={project}/agents/near.sock")
    assert build.cache_from == (
        "ghcr.io/me/shop:cache",
        f"type=local,src={project.parent}/cache",
        "type=registry,ref=ghcr.io/me/shop",
    )
    assert build.cache_to == (
        "type=inline",
        "type=local,dest=/home/me/cache,mode=max",
        "type=local,dest=/c",
        f'type=local,"dest={project}/a,b"',
    )
    assert (build.secrets["token"].env, build.secrets["token"].file) == ("TOKEN", None)
    assert build.secrets["file"].file == Path("/home/me/.token")
    assert build.secrets["near"].file == project / "secret.txt"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("backend = 'podman'", "build.backend = 'podman'"),
        ("transport = 'pigeon'", "build.transport = 'pigeon'"),
        ("platform = 'arm64'", "build.platform = 'arm64': not a platform"),
        ("platform = 'linux/amd64,'", "build.platform = 'linux/amd64,': not a platform"),
        ("platform = 'linux/amd64,linux/amd64'", "names one platform twice"),
        ("builder = '--load'", "build.builder = '--load': not a builder's name"),
        ("ssh = ['work']", "build.ssh = 'work': neither default nor id=PATH"),
        ("ssh = ['work=']", "build.ssh = 'work=': neither"),
        ("ssh = ['=/run/agent']", "build.ssh = '=/run/agent': neither"),
        ("ssh = ['default', 'default=/run/agent']", "names one agent twice"),
        ("cache_from = ['not an image']", "build.cache_from: 'not an image' is neither a cache nor an image's name"),
        ("cache_from = ['']", "build.cache_from: '' is neither"),
        ("cache_from = ['type=lokal,src=/c']", "no cache of type 'lokal'; there are registry, local"),
        ("cache_from = ['type=inline']", "an inline cache is read from its image"),
        ("cache_from = ['type=local,dest=/c']", "a cache of type local needs src="),
        ("cache_to = ['type=local,src=/c']", "a cache of type local needs dest="),
        ("cache_to = ['type=registry']", "a cache of type registry needs ref="),
        ("cache_to = ['type=local,/c']", "a list of key=value"),
        ("secrets = { 'a b' = { env = 'X' } }", "'a b' is no name for a secret"),
        ("secrets = { t = { } }", "build.secrets.t: needs either file or env"),
        ("secrets = { t = { env = 'X', file = 'x' } }", "build.secrets.t: needs either file or env"),
        ("secrets = { t = { evn = 'X' } }", "unknown key 'build.secrets.t.evn'"),
    ],
)
def test_what_no_build_could_use_is_refused(project: Path, text: str, told: str) -> None:
    assert told in refused(project, f"{MINIMAL}[build]\n{text}\n").message


@pytest.mark.parametrize(
    "text",
    [
        "secrets = 'hunter2 hunter2'",
        "secrets = ['hunter2 hunter2']",
        "secrets = { token = 'hunter2 hunter2' }",
        "secrets = { token = { env = 'hunter2 hunter2' } }",
        "secrets = { token = { env = ['hunter2 hunter2'] } }",
        "secrets = { token = { file = { value = 'hunter2 hunter2' } } }",
        "secrets = { token = { value = 'hunter2 hunter2' } }",
        "secrets = { token = { env = 'X', file = 'hunter2 hunter2' } }",
        "cache_to = ['type=s4,secret_access_key=hunter2 hunter2']",
        "cache_to = ['type=registry,token=hunter2 hunter2']",
        "cache_to = ['type=s3,hunter2 hunter2']",
    ],
)
def test_no_error_says_a_secret(project: Path, text: str) -> None:
    error = refused(project, f"{MINIMAL}[build]\n{text}\n")
    assert "hunter2" not in error.message + error.hint


def test_a_build_argument_may_be_this_machines_to_say(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = MINIMAL + '[build.args]\nPLAIN = "1"\nINDEX = { env = "SD_INDEX" }\n'
    monkeypatch.delenv("SD_INDEX", raising=False)
    assert load(project, text).build.given_args == {"PLAIN": "1"}
    monkeypatch.setenv("SD_INDEX", "there")
    assert load(project, text).build.given_args == {"PLAIN": "1", "INDEX": "there"}


def test_where_a_base_is_published_may_be_cis_to_say(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITDECK_BASE_REPOSITORY", "ghcr.io/me/other-base")
    assert load(project, MINIMAL).base.remote == "ghcr.io/me/other-base"
    monkeypatch.setenv("SPLITDECK_BASE_REPOSITORY", "Not A Name")
    with pytest.raises(ConfigError, match=r"base\.repository"):
        load(project, MINIMAL)
