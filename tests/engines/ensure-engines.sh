#!/usr/bin/env bash
# Brings up the engines of the compatibility tests beside the machine's own: Docker 28 with both image stores, and
# Podman, from a Debian sid root of their own. Each has its namespaces (mount, network, PID), data and socket.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: tests/engines/ensure-engines.sh [up] [NAME…]      bring up these engines, or all of them
       tests/engines/ensure-engines.sh down [NAME…]      end them; their data stays
       tests/engines/ensure-engines.sh status            one line for each: name, state, version, process
       tests/engines/ensure-engines.sh endpoints         one line for each: name, endpoint
       tests/engines/ensure-engines.sh docker-config     a folder for DOCKER_CONFIG, with buildx and compose as plugins
       tests/engines/ensure-engines.sh exec NAME CMD…    run a command in an engine's network, where its ports are

NAME is one of:
  docker28     Docker from Debian sid, graph driver overlay2
  containerd   the same Docker with the containerd image store (features.containerd-snapshotter)
  podman       Podman's API service
  buildkit     the BuildKit of the engine containerd, as a daemon of its own for buildx's remote driver

Works as root on Debian or Ubuntu. The first run makes a Debian sid root with debootstrap (about a minute, 1 GB) and
copies two images from the machine's own engine: the Python image of scripts/ensure-root-image.sh, and busybox:test,
which is made here, has the label io.splitdeck.root=busybox, and is given to the machine's own engine as well.
Later runs find all that. Nothing of the machine's own engine is touched: the bridge, ports and firewall rules of
these engines exist in their own network namespaces only, which lead nowhere: builds and containers are offline.

Environment:  XDG_STATE_HOME     everything is kept in splitdeck-test-engines/ under this folder (/var/tmp)
              ENGINE_TIMEOUT_S   how long to wait for a started engine (60)
Exit status:  0 done   1 something failed   2 wrong usage   3 this machine cannot do it (no root, not Debian)
USAGE
}

HERE=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
readonly HERE
readonly SCRIPTS=$HERE/../../scripts
readonly STATE=${XDG_STATE_HOME:-/var/tmp}/splitdeck-test-engines
readonly ROOT=$STATE/root
readonly CGROUP=splitdeck-test-engines
readonly TIMEOUT_S=${ENGINE_TIMEOUT_S:-60}
readonly ALL=(docker28 containerd podman buildkit)
readonly PACKAGES=(
  ca-certificates docker.io docker-cli docker-buildx docker-compose
  podman runc netavark aardvark-dns nftables iptables iproute2 busybox-static
)
readonly PYTHON_IMAGE=python:3.11-slim-bookworm
readonly BUSYBOX_IMAGE=busybox:test

say() { printf 'ensure-engines: %s\n' "$*" >&2; }
die() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}

has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command with its output kept for the case that it fails.
quietly() {
  "$@" >"$STATE/log" 2>&1 || {
    tail -n 15 "$STATE/log" >&2
    die 1 "failed, with the last lines above: $*"
  }
}

endpoint() { printf 'unix://%s/%s.sock\n' "$STATE" "$1"; }

# The Docker CLI on one of these engines.
on() {
  local name=$1
  shift
  DOCKER_TLS_VERIFY='' DOCKER_HOST=$(endpoint "$name") docker "$@"
}

engine_version() {
  if [[ $1 == buildkit ]]; then
    [[ -S $STATE/$1.sock ]] && engine_version containerd
    return
  fi
  [[ -S $STATE/$1.sock ]] || return 1
  DOCKER_TLS_VERIFY='' DOCKER_HOST=$(endpoint "$1") timeout 20 docker version --format '{{.Server.Version}}' 2>/dev/null
}

# --- the root: Debian sid in a folder ---------------------------------------------------------------------------

need_debootstrap() {
  has debootstrap && return
  has apt-get || die 3 "debootstrap is missing, and only Debian and Ubuntu are known here: install it first"
  say "installing debootstrap (apt-get)"
  quietly apt-get update -q
  quietly env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    debootstrap debian-archive-keyring
}

# A mirror may be older than sid's index allows (a week); for tests that is good enough.
in_root() { quietly chroot "$1" env DEBIAN_FRONTEND=noninteractive "${@:2}"; }
readonly APT=(apt-get -q -y -o Acquire::Check-Valid-Until=false)

ensure_root() {
  local new=$ROOT.new name
  if [[ "$(cat "$STATE/root.packages" 2>/dev/null)" == "${PACKAGES[*]}" ]]; then return; fi
  for name in "${ALL[@]}"; do stop "$name"; done
  need_debootstrap
  rm -rf --one-file-system "$ROOT" "$new"

  say "making a Debian sid root (debootstrap, about half a minute)"
  quietly debootstrap --variant=minbase sid "$new"
  cp /etc/resolv.conf "$new/etc/resolv.conf"
  printf '#!/bin/sh\nexit 101\n' >"$new/usr/sbin/policy-rc.d" # no package starts its service
  chmod 755 "$new/usr/sbin/policy-rc.d"
  printf 'path-exclude /usr/share/%s/*\n' doc info man locale >"$new/etc/dpkg/dpkg.cfg.d/no-documentation"
  say "installing Docker, buildx, compose and Podman in it"
  in_root "$new" "${APT[@]}" update
  in_root "$new" "${APT[@]}" install --no-install-recommends "${PACKAGES[@]}"
  rm -rf "$new"/var/lib/apt/lists/* "$new"/usr/share/{doc,info,man,locale}/* "$new"/var/cache/apt/archives/*.deb

  configure_root "$new"
  mv "$new" "$ROOT"
  printf '%s\n' "${PACKAGES[*]}" >"$STATE/root.packages"
}

# The root is read-only for the engines, so that all their settings are here.
configure_root() {
  local root=$1
  mkdir -p "$root"/state "$root"/etc/{docker,containers/registries.conf.d} "$root"/var/lib/{docker,containers}
  : >"$root/etc/resolv.conf" # their networks lead nowhere: a look-up fails at once instead of after a time-out
  printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
  cat >"$root/etc/containers/storage.conf" <<'TOML'
[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
TOML
  # With one registry to search, a short name means what it means to Docker.
  printf 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n' \
    >"$root/etc/containers/registries.conf.d/short-names.conf"
}

# Plugins for the machine's own Docker CLI. They are built for sid, hence run by sid's loader with sid's libraries.
ensure_plugins() {
  local folder=$STATE/docker-config/cli-plugins plugin loader libraries
  loader=$(find "$ROOT"/usr/lib/*-linux-gnu* -maxdepth 1 -name 'ld-linux*.so.*' | head -n 1)
  libraries=${loader%/*}
  mkdir -p "$folder"
  [[ -e $STATE/docker-config/config.json ]] || printf '{}\n' >"$STATE/docker-config/config.json"
  for plugin in docker-buildx docker-compose; do
    cat >"$folder/$plugin.new" <<PLUGIN
#!/bin/sh
exec '$loader' --library-path '$libraries' '$ROOT/usr/libexec/docker/cli-plugins/$plugin' "\$@"
PLUGIN
    chmod 755 "$folder/$plugin.new"
    mv "$folder/$plugin.new" "$folder/$plugin"
  done
}

# --- processes ----------------------------------------------------------------------------------------------------

started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Prints the PID of an engine's first process. Its start time tells it from a later process of the same number.
pid_of() {
  local pid='' at=''
  read -r pid at 2>/dev/null <"$STATE/$1.pid" || return 1
  [[ -n $at && "$(started_at "$pid")" == "$at" ]] && printf '%s\n' "$pid"
}

# What runs as an engine's first process, in its new namespaces. /proc is still the machine's, and so is the PID in it.
enter() {
  local name=$1 pid program data
  read -r pid _ </proc/self/stat
  printf '%s %s\n' "$pid" "$(started_at "$pid")" >"$STATE/$name.pid"
  case $name in
    buildkit) exec python3 "$HERE/buildkit_relay.py" "$STATE/containerd.sock" "$STATE/$name.sock" ;;
    podman) data=/var/lib/containers program=(podman system service --time 0 "unix:///state/$name.sock") ;;
    *) data=/var/lib/docker program=(dockerd --config-file "/state/$name/daemon.json") ;;
  esac

  # A root of its own by pivot_root: loading images fails in a plain chroot.
  mount --bind "$ROOT" "$ROOT"
  mount -o remount,bind,ro "$ROOT"
  mount --bind "$STATE" "$ROOT/state"
  mount --bind "$STATE/$name/data" "$ROOT$data"
  mount --rbind /sys "$ROOT/sys" # with the machine's control groups
  mount --rbind /dev "$ROOT/dev"
  mount -t proc proc "$ROOT/proc"
  mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
  mount -t tmpfs tmpfs "$ROOT/tmp"
  mount --bind "$STATE/$name/tmp" "$ROOT/var/tmp"
  cd "$ROOT"
  pivot_root . .
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin
  umount -l .
  cd /
  ip link set lo up
  exec env -i PATH="$PATH" HOME=/tmp TMPDIR=/var/tmp "CONTAINERS_CONF=/state/$name/containers.conf" \
    PODMAN_IGNORE_CGROUPSV1_WARNING=1 tini-static -- "${program[@]}"
}

docker_settings() {
  local name=$1 containerd_store=false
  [[ $name != containerd ]] || containerd_store=true
  cat <<JSON
{
  "hosts": ["unix:///state/$name.sock"],
  "group": "root",
  "cgroup-parent": "/$CGROUP/$name",
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "storage-driver": "$([[ $name == containerd ]] && echo overlayfs || echo overlay2)",
  "features": {"containerd-snapshotter": $containerd_store}
}
JSON
}

# Podman would ask for limits that a root without CAP_SYS_RESOURCE may not give, and crun refuses machines with both
# versions of control groups.
podman_settings() {
  cat <<TOML
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=$(ulimit -Hu):$(ulimit -Hu)"]
log_driver = "k8s-file"
init_path = "/usr/bin/tini-static" # comes with docker.io; Podman's own catatonit is not in sid

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
TOML
}

start() {
  local name=$1 version started=$SECONDS alone=(unshare --mount --net --pid --ipc --uts --fork)
  mkdir -p "$STATE/$name"/{data,tmp}
  chmod 1777 "$STATE/$name/tmp"
  rm -f "$STATE/$name.sock" "$STATE/$name.pid"
  case $name in
    podman) podman_settings >"$STATE/$name/containers.conf" ;;
    buildkit) alone=() ;;
    *) docker_settings "$name" >"$STATE/$name/daemon.json" ;;
  esac
  say "starting $name, which logs to $STATE/$name/log"
  setsid --fork "${alone[@]}" "$BASH" "$HERE/${0##*/}" --enter "$name" >"$STATE/$name/log" 2>&1 </dev/null 9>&-
  until version=$(engine_version "$name"); do
    if ((SECONDS - started >= TIMEOUT_S)) || { ((SECONDS - started >= 3)) && ! pid_of "$name" >/dev/null; }; then
      tail -n 15 "$STATE/$name/log" >&2
      die 1 "$name does not answer (waited $((SECONDS - started)) s); its last log lines are above"
    fi
    sleep 0.1
  done
  say "$name $version answers at $(endpoint "$name")"
}

# Ends with the first process of the PID namespace, whatever has been started in it.
stop() {
  local name=$1 pid started=$SECONDS
  if pid=$(pid_of "$name"); then
    say "ending $name (process $pid)"
    kill -TERM "$pid" 2>/dev/null || true
    while pid_of "$name" >/dev/null; do
      if ((SECONDS - started >= 20)); then kill -KILL "$pid" 2>/dev/null || true; fi
      sleep 0.1
    done
  fi
  rm -f "$STATE/$name.pid" "$STATE/$name.sock"
  find /sys/fs/cgroup -depth -type d -path "*/$CGROUP/$name*" -exec rmdir {} + 2>/dev/null || true
}

# --- images -------------------------------------------------------------------------------------------------------

image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }

# From Debian's static busybox: one file and its names.
ensure_busybox() {
  local work
  if image_id "$BUSYBOX_IMAGE" >/dev/null; then return; fi
  say "importing $BUSYBOX_IMAGE into the machine's own engine"
  work=$(mktemp --directory --tmpdir="$STATE" busybox.XXXXXX)
  mkdir -p "$work"/{bin,dev,etc,proc,root,sys,tmp,usr,var}
  cp "$ROOT/usr/bin/busybox" "$work/bin/busybox"
  ln -s ../bin "$work/usr/bin"
  chroot "$work" /bin/busybox --install -s /bin
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$work/etc/passwd"
  printf 'root:x:0:\n' >"$work/etc/group"
  chmod 1777 "$work/tmp"
  tar --create --numeric-owner --owner 0 --group 0 --sort name --mtime @0 --directory "$work" . |
    docker import --change 'ENV PATH=/bin' --change 'CMD ["sh"]' \
      --change 'LABEL io.splitdeck.root=busybox' - "$BUSYBOX_IMAGE" >/dev/null
  rm -rf "$work"
}

# A copy of the image in the machine's own engine; its ID is noted, because IDs differ between image stores.
ensure_image() {
  local name=$1 image=$2 note id
  note=$STATE/$name/${image//[^a-z0-9]/-}.id
  id=$(image_id "$image") || die 1 "$image is not in the machine's own engine"
  if [[ "$(cat "$note" 2>/dev/null)" == "$id" ]] && on "$name" image inspect "$image" >/dev/null 2>&1; then return; fi
  say "copying $image to $name"
  docker save "$image" | quietly on "$name" load
  # Podman takes an archive's short name for a local one, but looks up short names at docker.io.
  if [[ $name == podman ]]; then
    quietly on "$name" tag "localhost/$image" "docker.io/library/$image"
    quietly on "$name" rmi "localhost/$image"
  fi
  on "$name" image inspect "$image" >/dev/null 2>&1 || die 1 "$image is not in $name after it was loaded there"
  printf '%s\n' "$id" >"$note"
}

# --- commands -----------------------------------------------------------------------------------------------------

check_names() {
  local name
  for name in "$@"; do
    case " ${ALL[*]} " in
      *" $name "*) ;;
      *) die 2 "there is no engine $name here; there are: ${ALL[*]}" ;;
    esac
  done
}

need_root() { ((EUID == 0)) || die 3 "namespaces and mounts take root: run this script as root."; }

# One run at a time; the lock ends with this process.
lock() {
  mkdir -p "$STATE"
  exec 9>"$STATE/lock"
  flock 9
}

up() {
  local name version
  need_root
  lock
  ensure_root
  ensure_plugins
  quietly "$SCRIPTS/ensure-engine.sh" 9>&- # an engine that it starts must not keep the lock
  quietly "$SCRIPTS/ensure-root-image.sh" --image "$PYTHON_IMAGE"
  ensure_busybox
  case " $* " in *" buildkit "*) set -- "$@" containerd ;; esac
  for name in "${ALL[@]}"; do
    [[ " $* " == *" $name "* ]] || continue
    if pid_of "$name" >/dev/null && version=$(engine_version "$name"); then
      say "$name $version answers at $(endpoint "$name")"
    else
      stop "$name"
      start "$name"
    fi
    if [[ $name != buildkit ]]; then
      ensure_image "$name" "$BUSYBOX_IMAGE"
      ensure_image "$name" "$PYTHON_IMAGE"
    fi
  done
}

down() {
  local name
  need_root
  lock
  for name in "$@"; do stop "$name"; done
}

status() {
  local name pid version
  for name in "${ALL[@]}"; do
    if ! pid=$(pid_of "$name"); then
      printf '%s down\n' "$name"
    elif version=$(engine_version "$name"); then
      printf '%s up %s %s\n' "$name" "$version" "$pid"
    else
      printf '%s silent - %s\n' "$name" "$pid"
    fi
  done
}

run_in() {
  local pid
  (($# > 1)) || die 2 "exec takes an engine's name and a command"
  check_names "$1"
  need_root
  pid=$(pid_of "$1") || die 1 "$1 is not up"
  exec nsenter --target "$pid" --net "${@:2}"
}

main() {
  local command=up name
  case ${1:-} in
    up | down | status | endpoints | docker-config | exec | --enter) command=$1 && shift ;;
    -h | --help) usage && exit 0 ;;
    -*) usage >&2 && die 2 "unknown argument: $1" ;;
  esac
  case $command in
    exec) run_in "$@" ;;
    --enter) enter "$1" ;;
    up | down)
      check_names "$@"
      if (($# == 0)); then set -- "${ALL[@]}"; fi
      "$command" "$@"
      ;;
    *)
      (($# == 0)) || die 2 "$command takes no names"
      case $command in
        status) status ;;
        endpoints) for name in "${ALL[@]}"; do printf '%s %s\n' "$name" "$(endpoint "$name")"; done ;;
        docker-config) printf '%s\n' "$STATE/docker-config" ;;
      esac
      ;;
  esac
}

main "$@"
