"""Side-by-side measurements on this machine's engine, as ratios: `make bench`.

Every claim comes from one run in which the two sides take turns, so that a busy machine slows both. Nothing here
decides a test.

one-file   A save of a one-file app until it is served, against `docker restart` of a container that has the same file
           bind-mounted: the fastest loop without a build that Docker offers, and no image at the end of it.
sample     A save of the sample's code until it is served.
legacy     The sample's images, cold and after a code change, on both tracks.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.perf.loops import bench_legacy, bench_one_file, bench_sample  # noqa: E402 - as a script it is not on the path
from tests.perf.measure import machine  # noqa: E402

REPORT = ROOT / "docs" / "benchmarks.md"


def update_readme() -> None:
    """Puts the report between the README's two markers, one heading level deeper."""
    readme = ROOT / "README.md"
    before, begin, rest = readme.read_text().partition("<!-- measured -->")
    _, end, after = rest.partition("<!-- /measured -->")
    if not begin or not end:
        raise SystemExit("README.md has lost its two markers")
    body = REPORT.read_text().partition("\n")[2].replace("\n## ", "\n### ").strip()
    readme.write_text(f"{before}{begin}\n## Measured\n\n{body}\n\n{end}{after}")


def main() -> None:
    benches = {"one-file": (bench_one_file, 10), "sample": (bench_sample, 5), "legacy": (bench_legacy, 3)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=f"of {', '.join(benches)}; default: one-file and sample")
    parser.add_argument("--rounds", type=int, help="in place of each benchmark's own number")
    parser.add_argument("--write", action="store_true", help=f"write {REPORT.relative_to(ROOT)} and the README's part")
    options = parser.parse_args()
    chosen = options.what or ["one-file", "sample"]
    unknown = set(chosen) - benches.keys()
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    tables = []
    for what in chosen:
        bench, rounds = benches[what]
        tables.append(bench(options.rounds or rounds))
        print(tables[-1], flush=True)
    if options.write:
        at = datetime.now(timezone.utc).strftime("%Y-%m-%d")
        command = "make bench" if not options.what else f"python tests/perf/bench.py {' '.join(options.what)} --write"
        head = (
            f"# Benchmarks\n\nWritten by `{command}` on {at}: {machine()}. Sides of a table took turns in one run.\n\n"
        )
        REPORT.write_text(head + "\n".join(tables))
        update_readme()


if __name__ == "__main__":
    main()
