#!/usr/bin/env bash
# Makes sure that the Python image which the Dockerfiles start from is in the engine: used if present, else
# pulled, else (no registry can be reached) made from Debian's packages and given the same name.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: scripts/ensure-root-image.sh [--image NAME]

Makes sure that the engine has the Python image that docker/base.Dockerfile is built FROM. If it is not there it is
pulled, and where no registry answers it is made from Debian's packages with debootstrap (root or passwordless sudo,
about a minute). A made image has the label io.splitdeck.root=debootstrap. It takes over from this machine what a
build needs to reach a package index here: the CA certificates, pip's index settings and a CPU build of torch.

  --image NAME   this image instead, of the form python:X.Y[-slim]-SUITE

Environment:  PULL_TIMEOUT_S   gives up a pull after so many seconds (60)
              PIP_FIND_LINKS   folders in which to look for the wheel of a CPU build of torch
Exit status:  0 the image is there   1 it could not be made   2 wrong usage   3 no engine answers
USAGE
}

readonly HERE=${BASH_SOURCE[0]%/*}
readonly BASE_DOCKERFILE=$HERE/../docker/base.Dockerfile
readonly CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
readonly WHEELS=/usr/local/share/wheels # in the image
WORK=

say() { printf 'ensure-root-image: %s\n' "$*" >&2; }
die() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}

has() { command -v "$1" >/dev/null 2>&1; }

dockerfile_from() { awk 'toupper($1) == "FROM" { print $2; exit }' "$BASE_DOCKERFILE"; }

# Fails if there is no such image; prints nothing for one that was not made here.
made_by() {
  docker image inspect --format '{{with .Config.Labels}}{{index . "io.splitdeck.root"}}{{end}}' "$1" 2>/dev/null
}

pull() {
  say "$1 is not here, pulling it"
  timeout "${PULL_TIMEOUT_S:-60}" docker pull --quiet "$1" >/dev/null 2>&1
}

# Runs a command with its output kept for the case that it fails.
quietly() {
  "$@" >"$WORK/log" 2>&1 || {
    tail -n 15 "$WORK/log" >&2
    die 1 "failed, with the last lines above: $*"
  }
}

need_debootstrap() {
  has debootstrap && return
  has apt-get || die 1 "no registry answers, and without debootstrap (a Debian package) the image cannot be made"
  say "installing debootstrap (apt-get)"
  quietly apt-get update -q
  quietly env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends \
    debootstrap debian-archive-keyring
}

bootstrap() {
  local root=$1 suite=$2
  say "installing Debian $suite with Python into a folder (debootstrap, about a minute)"
  quietly debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$root"

  # As in Docker's Debian images: no fsync for each file, no documentation with later packages.
  cat >"$root/etc/dpkg/dpkg.cfg.d/image" <<'DPKG'
force-unsafe-io
path-exclude /usr/share/doc/*
path-exclude /usr/share/info/*
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
DPKG
  rm -rf "$root"/usr/share/{doc,info,man,locale}/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
  rm -f "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin
  rm -f "$root/etc/hostname" "$root/etc/resolv.conf" # this machine's; the engine provides a container's
}

# A virtual environment laid over /usr/local has Python's own image's paths (/usr/local/bin/python and pip,
# /usr/local/lib/pythonX.Y/site-packages), and pip never meets a package that Debian manages.
add_python() {
  local root=$1 wanted=$2 found
  quietly chroot "$root" /usr/bin/python3 -m venv /usr/local
  found=$(chroot "$root" /usr/local/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  [[ $found == "$wanted" ]] || die 1 "this Debian's Python is $found, but the image is to have $wanted"
}

# This machine's settings for package indexes, as lines of pip's configuration. Folders stay out, for the image
# does not see them, and so do addresses with a password in them, for an image may be published.
pip_index_settings() {
  has python3 || return 0
  { python3 -m pip config list 2>/dev/null || true; } | sed -nE "s/^[^=]*\.(index-url|extra-index-url|proxy|trusted-host)='(.*)'$/\1 \2/p" |
    while read -r key values; do
      local kept=''
      for value in $values; do
        case $value in
          file:* | *://*@*) ;;
          *) kept+=" $value" ;;
        esac
      done
      [[ -z $kept ]] || printf '%s =%s\n' "$key" "$kept"
    done
}

torch_wheel() {
  local folder pattern
  pattern="torch-*+cpu-cp${1/./}-*linux*_$(uname -m).whl"
  for folder in ${PIP_FIND_LINKS:-}; do
    [[ ! -d $folder ]] || find "$folder" -maxdepth 1 -name "$pattern"
  done | sort --version-sort | tail -n 1
}

# The CPU wheel is preferred by its constraint: without one, whatever needs torch takes the index's newest
# build with gigabytes of CUDA libraries.
add_settings() {
  local root=$1 python=$2 wheel version
  [[ ! -s $CA_BUNDLE ]] || cp "$CA_BUNDLE" "$root$CA_BUNDLE"
  {
    printf '[global]\ndisable-pip-version-check = true\nroot-user-action = ignore\n'
    pip_index_settings
  } >"$root/etc/pip.conf"

  wheel=$(torch_wheel "$python")
  [[ -n $wheel ]] || return 0
  version=${wheel##*/torch-}
  version=${version%%-*}
  say "adding the CPU build of torch $version"
  mkdir -p "$root$WHEELS"
  cp "$wheel" "$root$WHEELS"
  printf 'torch==%s\n' "$version" >"$root$WHEELS/constraints.txt"
  printf 'find-links = %s\nconstraint = %s/constraints.txt\n' "$WHEELS" "$WHEELS" >>"$root/etc/pip.conf"
}

import() {
  local root=$1 image=$2
  say "importing it as $image"
  # The folders stay, their contents are the engine's to provide.
  tar --create --numeric-owner --one-file-system --directory "$root" \
    --exclude './dev/*' --exclude './proc/*' --exclude './run/*' --exclude './sys/*' --exclude './tmp/*' . |
    docker import \
      --change 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
      --change 'ENV LANG=C.UTF-8' \
      --change "ENV PIP_CERT=$CA_BUNDLE REQUESTS_CA_BUNDLE=$CA_BUNDLE SSL_CERT_FILE=$CA_BUNDLE" \
      --change 'LABEL io.splitdeck.root=debootstrap' \
      --change 'CMD ["python3"]' \
      - "$image" >/dev/null
}

clean_up() {
  [[ -n $WORK ]] || return 0
  umount --quiet "$WORK"/root/{proc,sys} 2>/dev/null || true # mounted by a debootstrap that was interrupted
  rm -rf --one-file-system "$WORK"
}

make_image() {
  local image=$1 python suite
  [[ $image =~ ^python:([0-9]+\.[0-9]+)(-slim)?-([a-z]+)$ ]] ||
    die 1 "$image cannot be pulled, and only an image named python:X.Y[-slim]-SUITE can be made"
  python=${BASH_REMATCH[1]} suite=${BASH_REMATCH[3]}
  trap clean_up EXIT
  trap 'exit 130' INT TERM
  WORK=$(mktemp --directory --tmpdir="${TMPDIR:-/var/tmp}" ensure-root-image.XXXXXX)
  need_debootstrap
  bootstrap "$WORK/root" "$suite"
  add_python "$WORK/root" "$python"
  add_settings "$WORK/root" "$python"
  import "$WORK/root" "$image"
}

main() {
  local image='' maker
  while (($#)); do
    case $1 in
      --image)
        (($# > 1)) || die 2 "--image takes a name"
        image=$2
        shift 2
        ;;
      -h | --help) usage && exit 0 ;;
      *) usage >&2 && die 2 "unknown argument: $1" ;;
    esac
  done
  image=${image:-$(dockerfile_from)}

  timeout 10 docker version >/dev/null 2>&1 ||
    die 3 "no engine answers (or there is no docker command): run scripts/ensure-engine.sh first"
  if maker=$(made_by "$image"); then
    say "$image is present${maker:+ (made by $maker)}"
  elif pull "$image"; then
    say "$image is pulled"
  elif ((EUID == 0)); then
    say "no registry has it for us, making it from Debian's packages"
    make_image "$image"
    say "$image is made, in $SECONDS s"
  elif has sudo && sudo -n true 2>/dev/null; then
    exec sudo -n --preserve-env "$0" --image "$image"
  else
    die 1 "$image can neither be pulled nor, without root, be made: run this script as root"
  fi
}

main "$@"
