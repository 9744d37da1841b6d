#!/usr/bin/env bash
# Makes sure that a Docker engine answers: an engine that does is left alone, a stopped one is started,
# and on Debian or Ubuntu a missing one is installed from the distribution's packages.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: scripts/ensure-engine.sh [--help]

Makes sure that a Docker engine answers, and changes nothing if one does. It is looked for where the Docker
CLI would: DOCKER_HOST, then the current context, then the default socket.

Without one, on Debian or Ubuntu and as root (or with passwordless sudo), docker.io is installed and started:
by systemd where that runs, else as a detached dockerd that logs to /var/log/dockerd.log.

Environment:  ENGINE_TIMEOUT_S   how long to wait for a started engine (60)
Exit status:  0 an engine answers   1 installing or starting failed   2 wrong usage   3 no engine, and none to be had
USAGE
}

readonly DEFAULT_ENDPOINT=unix:///var/run/docker.sock
readonly DOCKERD_LOG=/var/log/dockerd.log
readonly TIMEOUT_S=${ENGINE_TIMEOUT_S:-60}
SUDO=()

say() { printf 'ensure-engine: %s\n' "$*" >&2; }
die() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}

has() { command -v "$1" >/dev/null 2>&1; }

# Read from /proc, because a slim Debian has neither pgrep nor pidof.
running() { grep -qsx "$1" /proc/[0-9]*/comm; }

endpoint() {
  local host=${DOCKER_HOST:-}
  if [[ -z $host ]] && has docker; then
    host=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null) || host=
  fi
  printf '%s\n' "${host:-$DEFAULT_ENDPOINT}"
}

# Prints the engine's version, or fails. Without a Docker CLI a local socket is asked directly.
engine_version() {
  if has docker; then
    timeout 10 docker version --format '{{.Server.Version}}' 2>/dev/null
  elif has python3 && [[ $ENDPOINT == unix://* ]]; then
    python3 - "${ENDPOINT#unix://}" 2>/dev/null <<'PYTHON'
import json, socket, sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.settimeout(10)
    connection.connect(sys.argv[1])
    connection.sendall(b"GET /version HTTP/1.0\r\nHost: docker\r\n\r\n")
    print(json.loads(connection.makefile("rb").read().partition(b"\r\n\r\n")[2])["Version"])
PYTHON
  else
    return 1
  fi
}

become_root() {
  if ((EUID == 0)); then
    SUDO=()
  elif has sudo && sudo -n true 2>/dev/null; then
    SUDO=(sudo -n)
  else
    die 3 "no engine answers at $ENDPOINT, and $1 takes root: run this script as root, or $1 yourself."
  fi
}

install_engine() {
  has apt-get || die 3 "no engine answers at $ENDPOINT, and only Debian and Ubuntu are known here:" \
    "install Docker Engine as its documentation tells for this system, start it, and run this script again."
  become_root "install docker.io"
  local log packages=(docker.io iptables)
  log=$(mktemp)
  say "installing ${packages[*]} (apt-get)"
  {
    "${SUDO[@]}" apt-get update -q &&
      # From Debian 13 on, the command line is a package of its own.
      if ! has docker && apt-cache show docker-cli >/dev/null 2>&1; then packages+=(docker-cli); fi &&
      "${SUDO[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}"
  } >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    die 1 "apt-get failed; its last lines are above, all of them in $log"
  }
  rm -f "$log"
}

# Without systemd. What a killed engine left in /run (which need not be a tmpfs) would stop a new one:
# a pid file whose number is in use again, or the socket of a containerd that is gone.
start_detached() {
  running dockerd || "${SUDO[@]}" rm -f /run/docker.pid /run/docker/containerd/containerd.pid
  running containerd || "${SUDO[@]}" rm -f /run/containerd/containerd.sock
  say "starting dockerd, which logs to $DOCKERD_LOG"
  "${SUDO[@]}" sh -c "setsid -f dockerd >>$DOCKERD_LOG 2>&1 </dev/null"
}

start_engine() {
  if [[ -d /run/systemd/system ]]; then
    become_root "start docker.service"
    say "starting docker.service (systemctl)"
    "${SUDO[@]}" systemctl enable --now --quiet docker || true # the wait below tells how it went
  elif running dockerd; then
    say "dockerd runs already, but does not answer yet"
  else
    become_root "start dockerd"
    start_detached
  fi
}

show_log() {
  if [[ -d /run/systemd/system ]]; then
    "${SUDO[@]}" journalctl --unit docker --lines 15 --no-pager >&2 || true
  else
    "${SUDO[@]}" grep -v level=info "$DOCKERD_LOG" | tail -n 15 >&2 || true
  fi
}

wait_for_engine() {
  local version started=$SECONDS
  until version=$(engine_version); do
    if refused; then refuse_for_group; fi
    if ((SECONDS - started >= TIMEOUT_S)); then
      show_log
      die 1 "no answer from $ENDPOINT within $TIMEOUT_S s; the engine's last log lines are above"
    elif ((SECONDS - started >= 3)) && ! running dockerd; then
      show_log
      die 1 "the engine has ended again; its last log lines are above"
    fi
    sleep 0.2
  done
  say "engine $version answers at $ENDPOINT"
}

# Needless to say of a socket that an engine left behind: then the engine is started as root.
refused() { running dockerd && [[ -S ${ENDPOINT#unix://} && ! -w ${ENDPOINT#unix://} ]]; }

refuse_for_group() {
  die 3 "$ENDPOINT belongs to root and the group docker, and $(id -un) is in neither:" \
    "run 'sudo usermod -aG docker $(id -un)', log in anew, and run this script again."
}

main() {
  case ${1:-} in
    '') ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die 2 "unknown argument: $1" ;;
  esac

  local version
  ENDPOINT=$(endpoint)
  readonly ENDPOINT
  if version=$(engine_version); then
    say "engine $version answers at $ENDPOINT"
    return
  fi
  case $ENDPOINT in
    "$DEFAULT_ENDPOINT" | unix:///run/docker.sock) ;;
    *) die 3 "no engine answers at $ENDPOINT (DOCKER_HOST or the current Docker context):" \
      "start that engine, or unset DOCKER_HOST and run 'docker context use default'." ;;
  esac
  if refused; then refuse_for_group; fi
  has dockerd || install_engine
  start_engine
  wait_for_engine
}

main "$@"
