"""A project whose base images are looked at, as the engine has them."""

from __future__ import annotations

import json
from typing import Any

from console.engine import Engine
from tests.integration.conftest import ROOT_IMAGE, Project


class Bases:
    """A project's base images, as the engine has them."""

    def __init__(self, project: Project, engine: Engine) -> None:
        self.project = project
        self.client: Any = engine.client()
        self.image = f"{project.name}-base"
        project.write("requirements.txt", "one\n")
        self.dockerfile()

    def dockerfile(self, version: str = "1.2") -> None:
        """A base in which the Python package `demo` has a version."""
        folder = f"/usr/lib/python3/dist-packages/demo-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\\nName: demo\\nVersion: {version}\\n"
        self.project.write(
            "base.Dockerfile",
            f"FROM {ROOT_IMAGE}\nCOPY requirements.txt /\n"
            f"RUN mkdir {folder} && printf '{metadata}' > {folder}/METADATA\n",
        )

    def configure(self, base: str = "", extra: str = "") -> None:
        self.project.configure(extra)
        path = self.project.folder / "config.toml"
        path.write_text(path.read_text().replace("[app]\n", f"{base}\n[app]\n"))

    def run(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """What a command says on standard output."""
        done = self.project.once("base", *arguments, **environment)
        assert done.returncode == code, done.stdout + done.stderr
        self.stderr = done.stderr
        return done.stdout

    def events(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*arguments, "--json", code=code).splitlines()]

    def event(self, name: str, *arguments: str, code: int = 0) -> dict[str, Any]:
        return [event for event in self.events(*arguments, code=code) if event["event"] == name][-1]

    def tags(self) -> dict[str, str]:
        """Tag → ID of all that has the base's name."""
        rows = self.client.images(self.image)
        return {name.rpartition(":")[2]: row["Id"] for row in rows for name in row["RepoTags"] or ()}

    def labels(self, tag: str = "latest") -> dict[str, str]:
        found: dict[str, str] = self.client.inspect_image(f"{self.image}:{tag}")["Config"]["Labels"]
        return found

    def names(self) -> list[str]:
        return sorted(self.tags())

    def dated(self) -> list[str]:
        return [tag for tag in self.names() if tag[0] == "2"]

    def clear(self) -> None:
        """As on a machine that has never seen the project."""
        for row in [*self.client.images(self.image), *self.client.images(self.project.name)]:
            self.client.remove_image(row["Id"], force=True)
        for row in self.client.images(filters={"label": f"io.splitdeck.project={self.project.name}"}):
            self.client.remove_image(row["Id"], force=True)
