"""Side-by-side measurements on this machine's engine, as ratios: `make bench`.

Every claim comes from one run in which the two sides take turns, so that a busy machine slows both. Nothing here
decides a test.

one-file   A save of a one-file app until it is served, against `docker restart` of a container that has the same file
           bind-mounted: the fastest loop without a build that Docker offers, and no image at the end of it.
sample     A save of the sample's code until it is served.
compare    The sample's images, cold and after a code change, on both tracks, as `splitdeck compare` measures them.
contexts   A save in build contexts of 1 to 10,000 files and up to 100 MB, sent as a tar, by a session, and by buildx;
           `contexts-28` and `contexts-containerd` on Docker 28 with either image store (tests/engines).
history    A year of heavy use in the history: opened, updated, drawn.
cancel     From the plan to start over until the superseded build's process is gone; `cancel-28` on Docker 28.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.engines.engines import docker_config, ensure  # noqa: E402 - as a script it is not on the path
from tests.perf.contexts import WAYS, bench_cancel, bench_contexts  # noqa: E402
from tests.perf.history import bench_history  # noqa: E402
from tests.perf.loops import bench_compare, bench_one_file, bench_sample  # noqa: E402
from tests.perf.measure import machine  # noqa: E402

REPORT = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `python tests/perf/bench.py NAME… --write`; the sides of a table took turns in one run.

"""
IN_README = ("One-file app", "Sample: save to served", "codesearch: legacy against split")
OTHERS = {"28": ("docker28", "Docker 28"), "containerd": ("containerd", "Docker 28 with the containerd store")}


def on_own(bench: Callable[..., str], rounds: int) -> str:
    ensure(["docker28"])  # brings the buildx command
    environment = {"DOCKER_CONFIG": str(docker_config())}
    return bench(rounds, environment, "Docker 20.10", tuple(WAYS))


def on_other(which: str, bench: Callable[..., str], rounds: int) -> str:
    name, title = OTHERS[which]
    environment = {"DOCKER_HOST": ensure([name])[name], "DOCKER_CONFIG": str(docker_config())}
    with patch.dict(os.environ, environment):
        return bench(rounds, environment, title, tuple(WAYS))


BENCHES: dict[str, tuple[Callable[[int], str], int]] = {
    "one-file": (bench_one_file, 10),
    "sample": (bench_sample, 5),
    "compare": (bench_compare, 3),
    "history": (bench_history, 5),
    "contexts": (partial(on_own, bench_contexts), 5),
    "contexts-28": (partial(on_other, "28", bench_contexts), 5),
    "contexts-containerd": (partial(on_other, "containerd", bench_contexts), 3),
    "cancel": (partial(on_own, bench_cancel), 5),
    "cancel-28": (partial(on_other, "28", bench_cancel), 5),
}


def dated(what: str, section: str) -> str:
    """A section with where it comes from."""
    suffix = what.partition("-")[2]
    environment = {"DOCKER_HOST": ensure([OTHERS[suffix][0]])[OTHERS[suffix][0]]} if suffix in OTHERS else {}
    with patch.dict(os.environ, environment):
        origin = f"{datetime.now(timezone.utc):%Y-%m-%d}: {machine()}"
    return f"{section.rstrip()}\n\n`bench.py {what}`, {origin}.\n"


def sections_of(report: str) -> dict[str, str]:
    """The report's sections by title."""
    parts = report.split("\n## ")[1:]
    return {part.partition("\n")[0]: f"## {part.strip()}\n" for part in parts}


def write(measured: list[str]) -> None:
    """Puts sections in the place of those with the same title, and the first ones into the README."""
    known = sections_of(REPORT.read_text()) if REPORT.exists() else {}
    known |= {section.partition("\n")[0].removeprefix("## "): section for section in measured}
    REPORT.write_text(HEAD + "\n".join(known.values()))
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text().partition("<!-- measured -->")
    _, end, after = rest.partition("<!-- /measured -->")
    if not begin or not end:
        raise SystemExit("README.md has lost its two markers")
    shown = (known[title] for title in IN_README if title in known)
    body = "\n".join(re.sub(r"^##", "###", section, flags=re.MULTILINE) for section in shown)  # one level down
    readme.write_text(f"{before}{begin}\n## Measured\n\n{body}\n{end}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"of {', '.join(BENCHES)}; default: one-file and sample")
    parser.add_argument("--rounds", type=int, help="in place of each benchmark's own number")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.relative_to(ROOT)} and the README's part")
    options = parser.parse_args()
    chosen = options.what or ["one-file", "sample"]
    if unknown := set(chosen) - BENCHES.keys():
        parser.error(f"unknown: {', '.join(unknown)}")
    measured = []
    for what in chosen:
        bench, rounds = BENCHES[what]
        measured.append(dated(what, bench(options.rounds or rounds)))
        print(measured[-1], flush=True)
    if options.write:
        write(measured)


if __name__ == "__main__":
    main()
