"""The documents on images, done by somebody who does what they say: each command of each page, in order, in a shell.

The project that it is done on has this repository's layout, names and files; what makes its images heavy is replaced
(the base's contents, the single image's, the app itself), and its health is asked for more often. It has a name, a
port and a registry of its own, and versions of its own dates: `Reader.here` says which words of a page become which.
No command is exempt. GitHub's command line is a stand-in that keeps what it is asked for; an editor is one that edits.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

import pytest
import tomlkit
from ruamel.yaml import YAML

from console.config import load_config
from console.model import Mode
from console.ui.commands import KEYS, key_names
from tests.engines.engines import docker_config, ensure
from tests.engines.registry import PASSWORD, USER, started_registry
from tests.integration.conftest import APP as SMALL_APP
from tests.integration.conftest import DEADLINE_S, ROOT_IMAGE, free_port

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SITE = "/usr/local/lib/python3.11/site-packages"
SPLIT = "Split images: base, versions, registry"
MIGRATION = "From a single Dockerfile to split images"

WATCH = "docker compose -f docker-compose.yml -f docker-compose.dev.yml watch"
FOREGROUND = {"splitdeck": "ready at http", WATCH: "Watch enabled"}
"""Commands that go on until they are interrupted, and the word by which they say that they are there. While one does,
the app is edited, and it must serve the edit."""

BASE = rf"""FROM {ROOT_IMAGE}
COPY sample/requirements.txt /opt/requirements.txt
RUN useradd --create-home app && mkdir /app && install --directory --owner=app --group=app /workspace \
 && cd {SITE} && touch mcp.py sentence_transformers.py tree_sitter.py \
 && echo 'import sys; sys.exit(sys.argv[1:] != ["-q", "/app/tests"])' >pytest.py \
 && printf '#!/bin/sh\necho ripgrep\n' >/usr/local/bin/rg && chmod +x /usr/local/bin/rg \
 && sed -n 's/==/ /p' /opt/requirements.txt | while read -r name version; do \
      to="$name-$version.dist-info" && mkdir "$to" \
      && printf 'Metadata-Version: 2.1\nName: %s\nVersion: %s\n' "$name" "$version" >"$to/METADATA"; \
    done
WORKDIR /app
"""
"""What the base's check and the tests in the image ask for, as empty modules; one package is only said to be there."""

LEGACY = BASE.replace("COPY ", "COPY sample/codesearch /app/codesearch\nCOPY ", 1).replace("mkdir /app ", "true ") + (
    'ENV CODESEARCH_PORT=8000\nUSER app\nENTRYPOINT ["python", "-m", "codesearch"]\n'
)

APP = """
import os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from codesearch import BANNER


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(BANNER.encode())


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("", int(os.environ["CODESEARCH_PORT"])), Handler).serve_forever()
"""

EDITOR = """#!/bin/sh
# Raises the version of what the requirements name: a minor one, then a major one, then a minor one.
sed -i 's/==1\\.3$/==2.0/; t; s/==1\\.2$/==1.3/; t; s/==2\\.0$/==2.1/' "$1"
"""
GH = f"""#!/bin/sh
# GitHub's command line, as far as it needs no GitHub: it gives the token, and keeps what it was asked for.
echo "$@" >>"$GH_ASKED"
if [ "$1 $2" = "auth token" ]; then echo '{PASSWORD}'; fi
"""


class Fence(NamedTuple):
    """A block of code on a page."""

    section: str
    """The heading, without its signs, that it stands below."""
    language: str
    text: str


def fences(page: str) -> Iterator[Fence]:
    section, lines = "", iter((ROOT / page).read_text(encoding="utf-8").splitlines())
    for line in lines:
        if heading := re.fullmatch(r"##+ (.*)", line):
            section = heading[1]
        if opened := re.fullmatch(r" *```(\w*)", line):
            inside = itertools.takewhile(lambda one: one.strip() != "```", lines)
            yield Fence(section, opened[1], textwrap.dedent("".join(f"{one}\n" for one in inside)))


def commands(text: str) -> Iterator[str]:
    """The commands of a shell text, one after the other, those on several lines as one."""
    command = ""
    for line in text.splitlines(keepends=True):
        if not command and re.fullmatch(r"\s*(#.*)?\s*", line):
            continue
        command += line
        whole = subprocess.run(["bash", "-n"], input=command, text=True, capture_output=True, check=False)
        if not whole.returncode and not line.endswith("\\\n"):
            yield command.strip()
            command = ""
    assert not command, f"this command has no end: {command}"


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


@dataclass
class Reader:
    """Does what a page says.

    Args:
        folder: The project's.
        tmp: For what is not in the project: tools, logins, settings.
        registry: Where it listens.
        name: The project's.
    """

    folder: Path
    tmp: Path
    registry: str
    name: str

    def __post_init__(self) -> None:
        self.port = free_port()
        tools, home, client = self.tmp / "tools", self.tmp / "home", self.tmp / "docker"
        for made in (tools, home, client, self.folder):
            made.mkdir(exist_ok=True)
        (client / "cli-plugins").symlink_to(docker_config() / "cli-plugins")
        for tool, text in (("gh", GH), ("editor", EDITOR)):
            (tools / tool).write_text(text)
            (tools / tool).chmod(0o755)
        self.asked, self.exports = self.tmp / "gh", self.tmp / "exports"
        """What GitHub's command line was asked for, a line each; what commands exported."""
        self.asked.touch()
        self.exports.touch()
        self.environment = {
            "PATH": os.pathsep.join(map(str, (tools, BIN, os.environ["PATH"]))),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "DOCKER_CONFIG": str(client),
            "SPLITDECK_STATE_DIR": str(self.tmp / "state"),
            "EDITOR": "editor",
            "GH_ASKED": str(self.asked),
            **{
                f"GIT_{who}_{what}": "reader@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
            },
            **{name: os.environ[name] for name in ("DOCKER_HOST", "DOCKER_CONTEXT") if name in os.environ},
        }

    def named(self, text: str) -> str:
        """A file of the repository with this project's name and registry, and its port on this machine."""
        names = (("ghcr.io/OWNER", f"{self.registry}/owner"), ("ghcr.io", self.registry), ("OWNER", USER))
        for word, mine in (*names, (":8000:8000", f":{self.port}:8000"), ("{PORT:-8000}", f"{{PORT:-{self.port}}}")):
            text = text.replace(word, mine)
        return re.sub(r"(?<!sample/)(?<!app/)\b(codesearch|myapp)\b", self.name, text)

    def here(self, text: str) -> str:
        """A page's text with these, and the dates of this project's first and second version."""
        for number, date in enumerate(("2026.11.23", "2026.11.24")):
            text = text.replace(date, self.date(number)) if date in text else text
        return self.named(text)

    def date(self, number: int) -> str:
        tags = docker("image", "ls", "--format", "{{.Tag}}", f"{self.name}-base").split()
        dates = sorted(tag for tag in tags if tag[0] == "2")
        return dates[number]

    def does(self, command: str) -> None:
        """Runs a command; what it exports is there for the next one."""
        words = command.partition(" #")[0].strip()
        if words in FOREGROUND:
            self.watches(words)
            return
        began = time.monotonic()
        done = subprocess.run(
            self.shell(f"{self.here(command)}\nexport -p >{self.exports}"),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        print(f"{time.monotonic() - began:5.1f} s  $ {command}\n{done.stdout}{done.stderr}")
        assert done.returncode == 0, f"$ {self.here(command)}\n{done.stdout}{done.stderr}"

    def shell(self, script: str) -> list[str]:
        """The command for a script, which ends at its first error and has what was exported before."""
        return ["bash", "-euo", "pipefail", "-c", f". {self.exports}\n{script}"]

    def watches(self, command: str) -> None:
        """Starts what watches the source, edits that, waits until it is served, and ends it with ctrl+c."""
        log = self.tmp / "log"
        with log.open("w") as output:
            process = subprocess.Popen(
                self.shell(f"exec {command}"),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            soon(lambda: FOREGROUND[command] in log.read_text() or process.poll() is not None, log.read_text)
            edit = f"edited at {time.time_ns()}"
            (self.folder / "sample" / "codesearch" / "__init__.py").write_text(f'BANNER = "{edit}"\n')
            soon(lambda: self.served() == edit or process.poll() is not None, log.read_text)
            assert process.poll() is None, log.read_text()
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=20)
        assert code in (0, 130), log.read_text()

    def served(self) -> str:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def begin_repository(self) -> None:
        """Commits what is there; what is pushed goes to a folder beside it."""
        subprocess.run(["git", "init", "-q", "--bare", self.tmp / "origin.git"], check=True)
        for words in (
            ["init", "-q", "-b", "main"],
            ["add", "--all"],
            ["commit", "-qm", "as it was"],
            ["remote", "add", "origin", str(self.tmp / "origin.git")],
        ):
            self.git(*words)

    def leave(self) -> None:
        """Removes what was made on the engine."""
        ours = (f"label=io.splitdeck.project={self.name}", f"name={self.name}")
        for kind, listed in (("container", ("ps", "--all")), ("network", ("network", "ls"))):
            found = {one for which in ours for one in docker(*listed, "--quiet", "--filter", which).split()}
            if found:
                docker(kind, "rm", *(["--force", "--volumes"] if kind == "container" else []), *found)
        names = (f"reference={self.name}*", f"reference={self.registry}/owner/{self.name}*")
        for which in (*names, ours[0]):
            if images := docker("image", "ls", "--quiet", "--filter", which).split():
                docker("image", "rm", "--force", *set(images))


def soon(holds: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s:\n{what()}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One for all, so that the root image's layers travel once; it asks for a password."""
    ensure(["docker28"])  # whose command line brings buildx and Compose
    with started_registry(tmp_path_factory.mktemp("registry"), password=True) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
def reader(tmp_path: Path, registry: str) -> Iterator[Reader]:
    made = Reader(tmp_path / "codesearch", tmp_path, registry, f"sddocs-{os.getpid()}-{time.time_ns() % 10**9}")
    yield made
    made.leave()


def lay_out(reader: Reader) -> None:
    """This repository's files, with light contents in the images."""
    for name in ("docker/app.Dockerfile", ".dockerignore"):
        write(reader, name, (ROOT / name).read_text())
    for name in ("config.toml", ".env.example", *(path.name for path in ROOT.glob("docker-compose*.yml"))):
        often = re.sub(r"interval: \d+s", "interval: 1s", (ROOT / name).read_text())
        write(reader, name, reader.named(often))
    for name in ("scripts", ".github"):
        shutil.copytree(ROOT / name, reader.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    write(reader, ".gitignore", ".env\n")
    write(reader, "docker/base.Dockerfile", BASE)
    write(reader, "Dockerfile.legacy", LEGACY)
    write(reader, "sample/requirements.txt", f"demo==1.2\n# {reader.name}\n")
    write(reader, "sample/codesearch/__init__.py", 'BANNER = "as it was"\n')
    write(reader, "sample/codesearch/__main__.py", APP)
    write(reader, "sample/tests/test_nothing.py", "")


def write(reader: Reader, name: str, text: str) -> None:
    path = reader.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read_page(reader: Reader, page: str, wanted: Callable[[str], bool] = lambda _: True) -> None:
    """Does what the sections of a page say: runs its commands, and writes the files that it shows with their names."""
    count = 0
    for fence in fences(page):
        if not wanted(fence.section):
            continue
        if fence.language == "sh":
            for command in commands(fence.text):
                reader.does(command)
                count += 1
        elif shown := re.match(r"# ([\w./]+)\n", fence.text):
            write(reader, shown[1], reader.here(fence.text))
    assert count, f"there is no command on {page}"
    for words in map(str.split, reader.asked.read_text().splitlines()):
        if words[:2] == ["workflow", "run"]:
            check_dispatch(words[2:])


def check_dispatch(words: list[str]) -> None:
    """Holds what GitHub was asked to run against the workflow that it would run."""
    triggers = YAML(typ="safe", pure=True).load(ROOT / ".github" / "workflows" / words[0])["on"]
    wanted = {word.partition("=")[0] for word in words[1:] if word != "-f"}
    assert wanted <= triggers["workflow_dispatch"]["inputs"].keys()


# --- the pages --------------------------------------------------------------------------------------------------------


def test_the_readme_s_section(reader: Reader) -> None:
    lay_out(reader)
    reader.begin_repository()
    read_page(reader, "README.md", lambda section: section == SPLIT)


def test_docker_readme(reader: Reader) -> None:
    lay_out(reader)
    reader.begin_repository()
    read_page(reader, "docker/README.md")
    of_the_root = labels_of(ROOT_IMAGE)
    for column, image in enumerate((f"{reader.name}-base", reader.name)):
        labels = {name: value for name, value in labels_of(image).items() if name not in of_the_root}
        said = {name: cells[column] for name, *cells in label_rows()}
        assert {name for name, cell in said.items() if cell} == set(labels), image
        assert {name for name, cell in said.items() if cell == "empty"} <= {name for name in labels if not labels[name]}


def labels_of(image: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", image))
    return found


def label_rows() -> Iterator[list[str]]:
    """The rows of the page's table of labels: label, base, app, meaning."""
    for line in (ROOT / "docker" / "README.md").read_text(encoding="utf-8").splitlines():
        if re.match(r"\| `(io\.splitdeck|org\.opencontainers)", line):
            yield [cell.strip(" `") for cell in line.strip("|").split("|")]


def test_development(reader: Reader) -> None:
    lay_out(reader)
    reader.begin_repository()
    read_page(reader, "docker/DEVELOPMENT.md", lambda section: section != MIGRATION)
    assert "v1.2.3" in reader.git("ls-remote", "--tags", "origin")
    config = load_config(reader.folder / "config.toml")
    assert (config.base.version, config.app.mode) == ("latest", Mode.SPLIT), "what was set was set back"


def test_migration(reader: Reader) -> None:
    """In a project as it was before: one Dockerfile, which copies the code first."""
    (reader.tmp / "splitdeck").symlink_to(ROOT)
    write(reader, "Dockerfile", f"FROM {ROOT_IMAGE}\nCOPY . /app\nCMD python3 -S /app/src/main.py\n")
    write(reader, "requirements.txt", f"# {reader.name}\n")
    write(reader, "src/main.py", SMALL_APP)
    reader.begin_repository()
    read_page(reader, "docker/DEVELOPMENT.md", lambda section: section == MIGRATION)
    assert not (reader.folder / "Dockerfile.legacy").exists()
    assert reader.git("status", "--porcelain") == ""


# --- what the pages say besides ---------------------------------------------------------------------------------------


def test_a_command_that_fails_is_found(reader: Reader) -> None:
    for wrong in ("splitdeck base nonsense", "false", "false | true", 'echo "$NOT_SET"', "scripts/none.sh"):
        with pytest.raises(AssertionError, match=re.escape(wrong)):
            reader.does(wrong)


def test_commands_are_found_whole() -> None:
    text = "# a remark\n\none   # of one line\ntwo \\\n  lines\nif true; then\n  three\nfi\n"
    assert list(commands(text)) == ["one   # of one line", "two \\\n  lines", "if true; then\n  three\nfi"]


@pytest.mark.parametrize("page", ["docker/README.md", "docker/DEVELOPMENT.md", "README.md"])
def test_settings_that_are_shown_are_taken(page: str, tmp_path: Path) -> None:
    least = '[base]\ndockerfile = "b"\n[app]\ndockerfile = "a"\n'
    for name in ("a", "b", "Dockerfile.legacy"):
        (tmp_path / name).touch()
    for fence in fences(page):
        if fence.language == "toml":
            settings = tomlkit.parse(least)
            for table, keys in tomlkit.parse(fence.text.replace("OWNER", USER)).unwrap().items():
                settings[table] = {**settings.unwrap().get(table, {}), **keys, **least_of(table)}
            (tmp_path / "config.toml").write_text(tomlkit.dumps(settings))
            load_config(tmp_path / "config.toml")


def least_of(table: str) -> dict[str, str]:
    return {"base": {"dockerfile": "b"}, "app": {"dockerfile": "a"}}.get(table, {})


def test_messages_in_the_table_of_troubles_are_ones_that_are_said() -> None:
    sources = [*(ROOT / "console").rglob("*.py"), *(ROOT / "scripts").glob("*.sh")]
    said = "".join(path.read_text(encoding="utf-8") for path in sources).replace("{LATEST}", "latest")
    page = (ROOT / "docker" / "DEVELOPMENT.md").read_text(encoding="utf-8")
    seen = re.findall(r"^\| ([^|]*) \|", page.partition("| you see | do |")[2], re.MULTILINE)
    messages = [message for cell in seen for message in re.findall(r"[`*]([^`*]+)[`*]", cell)]
    assert len(messages) > 10
    assert [message for message in messages if message not in said] == []


def test_the_readme_names_every_key_of_the_dashboard() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("| key | name | does |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \| `(\w+)` \|", table, re.MULTILINE))
    assert rows == {key_names(command).split(" or ")[0]: command.id for command in KEYS}


def test_the_readme_s_section_is_short() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    section = page.partition(f"## {SPLIT}\n")[2].partition("\n## ")[0]
    assert 0 < len(section.splitlines()) <= 40
