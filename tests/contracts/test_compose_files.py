"""The compose files: valid by the specification's schema, and at one with Dockerfile, config.toml and .env.example.

That they come up is shown by tests/integration/test_compose.py.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from console.config import load_config

ROOT = Path(__file__).parents[2]
PLAIN, DEV, PROD = FILES = ("docker-compose.yml", "docker-compose.dev.yml", "docker-compose.prod.yml")


def service(name: str) -> dict[str, Any]:
    """The app, as one of the files has it."""
    found: dict[str, Any] = YAML(typ="safe").load(ROOT / name)["services"]["app"]
    return found


def check(path: Path) -> subprocess.CompletedProcess[str]:
    """Holds a file against the schema that the tool brings along, so nothing is fetched."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_valid_by_the_compose_specification(name: str) -> None:
    result = check(ROOT / name)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_key_that_the_specification_does_not_know_is_found(tmp_path: Path) -> None:
    broken = tmp_path / PLAIN
    broken.write_text((ROOT / PLAIN).read_text().replace("stop_grace_period", "stop_grace"))
    result = check(broken)
    assert result.returncode == 1
    assert "stop_grace" in result.stdout


def test_every_variable_is_in_the_example_and_the_other_way_round() -> None:
    used = set(re.findall(r"\$\{(\w+)", "".join((ROOT / name).read_text() for name in FILES)))
    listed = re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(used - {"COMPOSE_PROJECT_NAME"})  # which Compose sets itself


def test_names_are_those_of_config_toml() -> None:
    config = load_config(ROOT / "config.toml")
    plain = service(PLAIN)
    assert YAML(typ="safe").load(ROOT / PLAIN)["name"] == config.project.name
    assert plain["build"]["args"]["BASE_IMAGE"] == f"${{BASE_IMAGE:-{config.base.image}:latest}}"
    assert ROOT / plain["build"]["dockerfile"] == config.app.dockerfile
    assert [port.replace("${PORT:-8000}", "8000") for port in plain["ports"]] == list(config.run.ports)
    assert f"8000{config.run.ready.http}'" in plain["healthcheck"]["test"][-1]


def test_dev_lays_the_source_over_all_that_the_image_copies() -> None:
    dockerfile = (ROOT / "docker" / "app.Dockerfile").read_text()
    copied = {(f"./{source}", target) for source, target in re.findall(r"^COPY (\S+) (\S+)$", dockerfile, re.MULTILINE)}
    volumes = service(DEV)["volumes"]
    assert copied
    assert {(volume["source"], volume["target"]) for volume in volumes} == copied
    assert all(volume["read_only"] for volume in volumes)


def test_only_production_names_a_released_image_and_it_has_no_default() -> None:
    """Else a build on a developer's machine would get a release's name, or production whatever is there."""
    required = r"\$\{(\w+):\?[^}]+\}"
    prod = service(PROD)
    assert re.fullmatch(required, prod["image"])
    assert re.fullmatch(f"{required}@{required}", prod["build"]["args"]["BASE_IMAGE"])
    assert "APP_IMAGE" not in (ROOT / PLAIN).read_text() + (ROOT / DEV).read_text()
