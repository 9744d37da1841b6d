#!/usr/bin/env bash
# Makes the virtual environment and installs splitdeck with its test and static dependencies. Idempotent.
# Usage: scripts/ensure-venv.sh [FOLDER] [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-.venv}
python=${2:-python3}

say() { printf 'ensure-venv: %s\n' "$*"; }

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    say "$python is missing or older than 3.10; install Python 3.10 or later, or name one: make PYTHON=python3.12 …" >&2
    exit 2
fi
if [ ! -x "$folder/bin/python" ]; then
    say "making $folder with $("$python" --version)"
    if ! "$python" -m venv "$folder" 2>/dev/null; then
        rm -rf "$folder"
        say "$python cannot make virtual environments" >&2
        say "on Debian and Ubuntu: sudo apt-get install python3-venv" >&2
        exit 2
    fi
fi
say "installing splitdeck and its development dependencies"
# pip reads dependency groups from 25.1 on.
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable . --group test --group static
say "ready: $("$folder/bin/splitdeck" --version)"
