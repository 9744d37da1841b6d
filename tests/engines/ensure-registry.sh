#!/usr/bin/env bash
# Gets the registry of the tests: Debian's docker-registry, unpacked beside the test engines. Nothing is installed on
# the machine, and no service is started: tests/engines/registry.py runs it as a child process.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: tests/engines/ensure-registry.sh [--help]

Prints the path of the program docker-registry. If it is not there yet, it is taken from the package of that name and
unpacked; a docker-registry that is installed on the machine is left alone.

Works on Debian and Ubuntu. As root, or with passwordless sudo, it also fetches apt's lists of packages if these do
not know the package.

Environment:  XDG_STATE_HOME     it is kept in splitdeck-test-engines/registry/ under this folder (/var/tmp)
Exit status:  0 done   1 something failed   2 wrong usage   3 this machine cannot do it (not Debian)
USAGE
}

readonly PACKAGE=docker-registry
readonly STATE=${XDG_STATE_HOME:-/var/tmp}/splitdeck-test-engines
readonly PROGRAM=$STATE/registry/usr/bin/docker-registry

say() { printf 'ensure-registry: %s\n' "$*" >&2; }
die() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}

has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command with its output kept for the case that it fails.
quietly() {
  "$@" >"$STATE/registry.log" 2>&1 || {
    tail -n 15 "$STATE/registry.log" >&2
    die 1 "failed, with the last lines above: $*"
  }
}

fetch_lists() {
  local sudo=()
  if ((EUID != 0)); then
    sudo=(sudo -n)
    "${sudo[@]}" true 2>/dev/null ||
      die 1 "apt does not know the package $PACKAGE: run \`apt-get update\` as root, and this script again"
  fi
  say "fetching the lists of packages (apt-get update)"
  quietly "${sudo[@]}" apt-get update -q
}

# Prints the package's file in a folder, or fails. Lists that are old name files that the mirror has no more.
download() {
  (cd "$1" && apt-get download -q "$PACKAGE") >"$STATE/registry.log" 2>&1 && find "$1" -name '*.deb' | grep .
}

ensure_program() {
  local work file
  [[ ! -x $PROGRAM ]] || return 0
  has apt-get || die 3 "only Debian and Ubuntu are known here: there is no apt-get"
  work=$(mktemp --directory --tmpdir="$STATE" registry.XXXXXX)
  # shellcheck disable=SC2064 # the folder as it is called now
  trap "rm -rf '$work'" EXIT
  file=$(download "$work") || {
    fetch_lists
    file=$(download "$work") || {
      tail -n 15 "$STATE/registry.log" >&2
      die 1 "the package $PACKAGE cannot be had; apt-get's last lines are above"
    }
  }
  say "unpacking ${file##*/}"
  quietly dpkg-deb --extract "$file" "$work/root"
  rm -rf "$STATE/registry"
  chmod 755 "$work/root"
  mv "$work/root" "$STATE/registry"
}

main() {
  case ${1:-} in
    -h | --help) usage && exit 0 ;;
    ?*) usage >&2 && die 2 "unknown argument: $1" ;;
  esac
  mkdir -p "$STATE"
  exec 9>"$STATE/registry.lock" # one run at a time; the lock ends with this process
  flock 9
  ensure_program
  printf '%s\n' "$PROGRAM"
}

main "$@"
