#!/usr/bin/env bash
# The daily work on split images with nothing but the Docker CLI: base, app image, container, tests.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: scripts/docker-dev.sh [-C DIR] VERB [ARGUMENTS]

  base [--pull|--build]     make sure that the base image is here and fresh: pull it, or build it where it cannot be
                            pulled; --pull asks the registry anyway, --build builds anyway
  build [ARGUMENTS]         build the app image on the base; ARGUMENTS go to docker build
  run [-d] [ARGUMENTS]      run it with its source mounted read-only over the image's; -d in the background, until it
                            answers; ARGUMENTS go to docker run
  test [COMMAND…]           run the image's own tests in the image (python -m pytest -q /app/tests)
  shell [COMMAND…]          a shell, or a command, in the running container, else in one of its own
  logs [-f]                 what the container in the background wrote
  stop                      end and remove it
  status                    one line each for base, app image and container
  pin [VERSION]             the base by date and digest, as docker-compose.prod.yml wants it: two lines NAME=value
  push REPOSITORY TAG…      push the app image as REPOSITORY:TAG; --release v1.2.3 in place of TAG gives a release's tags
  clean [--base]            remove this project's containers and app images; with --base its base images, too
  help

Names, Dockerfiles, ports, volumes, environment and build arguments are those of config.toml in DIR (default: this
repository), each on a line of its own; [app] mode = "legacy" makes build, run and the rest take the legacy image.

The base is left to splitdeck where that is installed, which gives versions, checks them and holds major updates back.
Without it docker builds or pulls the base and makes it latest; the rest takes docker alone at all times.

Environment:  BASE_IMAGE   build on this image in place of config.toml's; it is pulled if it is not here
              PORT         publish the first port of [run] ports as this one
              SPLITDECK    the splitdeck command; empty: do without (default: .venv/bin/splitdeck, then the PATH's)
              DOCKER_BUILDKIT=0   the classic builder, which is taken anyway where the Docker CLI has no buildx
Exit status:  0 done   1 a build, check or test failed   2 wrong usage or config.toml   3 no engine answers
USAGE
}

HERE=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
readonly HERE
ROOT=$HERE/..
readonly PROJECT_LABEL=io.splitdeck.project ROLE_LABEL=io.splitdeck.role
readonly TEST_COMMAND=(python -m pytest -q /app/tests)

say() { printf 'docker-dev: %s\n' "$*" >&2; }
die() {
  local code=$1
  shift
  say "$*"
  exit "$code"
}

has() { command -v "$1" >/dev/null 2>&1; }

# --- config.toml ------------------------------------------------------------------------------------------------

# The texts of a key, one a line: `key = "text"`, `key = ["a", "b"]` (on several lines, too), `key = 20`.
setting() {
  awk -v table="[$1]" -v key="$2" '
    /^[ \t]*\[/ && !open { inside = ($1 == table); next }
    inside && !open && $0 ~ "^[ \t]*" key "[ \t]*=" {
      sub(/^[^=]*=[ \t]*/, "")
      if ($0 !~ /^[\[\042\047]/) { print $1; exit }
      open = 1
    }
    open {
      list = list || /^\[/
      rest = $0
      while (match(rest, /^[^#\042\047]*("[^"]*"|\047[^\047]*\047)/)) {
        text = substr(rest, 1, RLENGTH)
        rest = substr(rest, RLENGTH + 1)
        sub(/^[^\042\047]*/, "", text)
        print substr(text, 2, length(text) - 2)
        if (!list) exit
      }
      if (!list || rest ~ /^[^#]*\]/) exit
    }' "$ROOT/config.toml"
}

# A whole table of texts, as lines NAME=text.
table() {
  awk -v table="[$1]" '
    /^[ \t]*\[/ { inside = ($1 == table); next }
    inside && match($0, /^[ \t]*[A-Za-z0-9_-]+[ \t]*=[ \t]*"[^"]*"/) {
      name = $0; sub(/^[ \t]*/, "", name); sub(/[ \t]*=.*/, "", name)
      match($0, /"[^"]*"/)
      print name "=" substr($0, RSTART + 1, RLENGTH - 2)
    }' "$ROOT/config.toml"
}

names_registry() { [[ $1 == */* && (${1%%/*} == *[.:]* || ${1%%/*} == localhost) ]]; }

read_config() {
  [[ -f $ROOT/config.toml ]] || die 2 "no config.toml in $ROOT: name the project's folder with -C DIR"
  local folder
  folder=$(basename "$(cd "$ROOT" && pwd)")
  PROJECT=$(setting project name)
  PROJECT=${PROJECT:-$(tr 'A-Z' 'a-z' <<<"$folder" | sed -E 's/[^a-z0-9]+/-/g; s/^-+|-+$//g')}

  BASE_DOCKERFILE=$(setting base dockerfile)
  BASE_CONTEXT=$(setting base context)
  BASE_NAME=$(setting base image)
  BASE_NAME=${BASE_NAME:-$PROJECT-base}
  BASE_VERSION=$(setting base version)
  BASE_VERSION=${BASE_VERSION:-latest}
  REMOTE=$(setting base repository)
  if [[ -z $REMOTE ]] && names_registry "$BASE_NAME"; then REMOTE=$BASE_NAME; fi
  BASE_CHOSEN=${BASE_IMAGE:-} # by the caller: neither built nor looked after
  case $BASE_VERSION in
    @*) BASE=${BASE_CHOSEN:-${REMOTE:-$BASE_NAME}$BASE_VERSION} ;;
    *@*) BASE=${BASE_CHOSEN:-${REMOTE:-$BASE_NAME}:$BASE_VERSION} ;;
    *) BASE=${BASE_CHOSEN:-$BASE_NAME:$BASE_VERSION} ;;
  esac

  ROLE=app
  if [[ $(setting app mode) == legacy ]]; then ROLE=legacy; fi
  DOCKERFILE=$(setting "$ROLE" dockerfile)
  CONTEXT=$(setting "$ROLE" context)
  APP_NAME=$(setting app image)
  APP_NAME=${APP_NAME:-$PROJECT}
  LEGACY_NAME=$(setting legacy image)
  LEGACY_NAME=${LEGACY_NAME:-$PROJECT-legacy}
  if [[ $ROLE == legacy ]]; then IMAGE=$LEGACY_NAME; else IMAGE=$APP_NAME; fi
  CONTAINER=$PROJECT-dev

  [[ -n $BASE_DOCKERFILE && -f $ROOT/$BASE_DOCKERFILE ]] || die 2 "config.toml: [base] dockerfile names no file"
  [[ -n $DOCKERFILE && -f $ROOT/$DOCKERFILE ]] || die 2 "config.toml: [$ROLE] dockerfile names no file"
}

# --- the engine -------------------------------------------------------------------------------------------------

need_engine() {
  has docker || die 3 "there is no docker command: scripts/ensure-engine.sh installs an engine with one"
  timeout 20 docker version >/dev/null 2>&1 || die 3 "no engine answers: 'docker version' tells more, scripts/ensure-engine.sh starts one"
}

# From 23 on, the Docker CLI has BuildKit in a plugin, without which DOCKER_BUILDKIT=1 is an error.
choose_builder() {
  export DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-1}
  local major
  major=$(docker version --format '{{.Client.Version}}' | cut -d . -f 1)
  if [[ $DOCKER_BUILDKIT == 1 ]] && ((major >= 23)) && ! docker buildx version >/dev/null 2>&1; then
    say "this Docker CLI has no buildx (package docker-buildx): building with the classic builder"
    export DOCKER_BUILDKIT=0
  fi
}

# Prints nothing where there is no such label, and fails where there is no such image.
label() { docker image inspect --format "{{with .Config.Labels}}{{with index . \"$2\"}}{{.}}{{end}}{{end}}" "$1" 2>/dev/null; }
image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }
present() { image_id "$1" >/dev/null; }

# --- the base ---------------------------------------------------------------------------------------------------

# A Dockerfile's lines `COPY source… target`, as source<TAB>target; with "last" those of the last stage.
copies() {
  sed -e ':a' -e '/\\$/N; s/\\\n/ /; ta' "$1" | awk -v last="${2:-}" '
    toupper($1) == "FROM" && last { count = 0 }
    toupper($1) != "COPY" && toupper($1) != "ADD" { next }
    /--from=|<<|\[|:\/\// { next }
    {
      words = 0
      for (i = 2; i <= NF; i++) if ($i !~ /^--/) word[++words] = $i
      for (i = 1; i < words; i++) found[++count] = word[i] "\t" word[words]
    }
    END { for (i = 1; i <= count; i++) print found[i] }'
}

base_inputs() {
  local source _ path
  {
    printf '%s\n' "$BASE_DOCKERFILE"
    copies "$ROOT/$BASE_DOCKERFILE" | while IFS=$'\t' read -r source _; do
      (cd "$ROOT/$BASE_CONTEXT" && compgen -G "${source#/}") | while read -r path; do
        (cd "$ROOT" && find "${BASE_CONTEXT:+$BASE_CONTEXT/}${path%/}" -name __pycache__ -prune -o -type f -print)
      done
    done
  } | sed 's|^\./||' | sort -u
}

# As splitdeck counts it: the content, and whether it can be run.
hash_of() {
  local path=$ROOT/$1
  {
    if [[ -L $path ]]; then
      printf 'link\0%s' "$(readlink "$path")"
    else
      [[ ! -x $path ]] || printf 'run\0'
      cat "$path"
    fi
  } | sha256sum | cut -c 1-12
}

inputs_label() {
  local path pairs=
  while read -r path; do pairs+="${pairs:+, }\"$path\": \"$(hash_of "$path")\""; done < <(base_inputs)
  printf '{%s}' "$pairs"
}

# What the base is, in a word: missing, fresh, unknown (whoever built it did not write down from what), or stale and
# the files that changed.
base_state() {
  local recorded pair path stale=
  recorded=$(label "$BASE" io.splitdeck.inputs) || { echo missing && return; }
  if [[ -z $recorded || $recorded == *'"*"'* ]]; then echo unknown && return; fi
  while read -r pair; do
    path=${pair#\"} path=${path%%\"*}
    if [[ ! -e $ROOT/$path && ! -L $ROOT/$path ]]; then
      stale+=" $path"
    elif [[ $(hash_of "$path") != "$(sed -E 's/.*: *"([^"]*)"$/\1/' <<<"$pair")" ]]; then
      stale+=" $path"
    fi
  done < <(grep -oE '"[^"]+": *"[^"]*"' <<<"$recorded")
  echo "${stale:+stale}${stale:-fresh}"
}

find_splitdeck() {
  if [[ -n ${SPLITDECK+set} ]]; then
    printf '%s\n' "$SPLITDECK"
  elif [[ -x $ROOT/.venv/bin/splitdeck ]]; then
    printf '%s\n' "$ROOT/.venv/bin/splitdeck"
  else
    command -v splitdeck || true
  fi
}

pull_base() {
  [[ -n $REMOTE ]] || die 2 "there is no registry to pull from: set [base] repository in config.toml"
  case $BASE in
    *@*) docker pull "$BASE" ;;
    *) docker pull "$REMOTE:$BASE_VERSION" && { [[ $REMOTE:$BASE_VERSION == "$BASE" ]] || docker tag "$REMOTE:$BASE_VERSION" "$BASE"; } ;;
  esac
}

build_base() {
  [[ $BASE_VERSION == latest ]] || die 2 "the base is pinned to $BASE_VERSION, which no build can make: pull it, or set [base] version to latest"
  local arguments=()
  while read -r line; do arguments+=(--build-arg "$line"); done < <(table build.args)
  choose_builder
  docker build --file "$ROOT/$BASE_DOCKERFILE" --tag "$BASE" "${arguments[@]}" --label "$PROJECT_LABEL=$PROJECT" \
    --label "$ROLE_LABEL=base" --label "io.splitdeck.inputs=$(inputs_label)" "$ROOT/$BASE_CONTEXT" ||
    die 1 "the base cannot be built; app images can still be built on the one before, if there is one"
}

verb_base() {
  local wanted=${1:-} state splitdeck
  [[ $# -le 1 && $wanted =~ ^(--pull|--build|)$ ]] || die 2 "base takes --pull or --build"
  [[ -z $BASE_CHOSEN ]] || die 2 "BASE_IMAGE is set ($BASE_CHOSEN), so the base of config.toml is not asked for: unset it"
  state=$(base_state)
  if [[ -z $wanted && $state =~ ^(fresh|unknown)$ ]]; then
    say "$BASE is $([[ $state == fresh ]] && echo fresh || echo 'here; what it was built from is not known')"
    return
  fi
  splitdeck=$(find_splitdeck)
  if [[ $wanted == --pull || (-z $wanted && $state == missing && -n $REMOTE) ]]; then
    say "pulling $BASE from ${REMOTE:-a registry}"
    if [[ -n $splitdeck && $BASE_VERSION == latest ]]; then
      if "$splitdeck" base pull -C "$ROOT"; then state=$(base_state); else state=failed; fi
    elif pull_base; then
      state=$(base_state)
    else
      state=failed
    fi
    if [[ $wanted == --pull ]]; then
      [[ $state != failed ]] || die 1 "it cannot be pulled; what was here is still here"
      [[ $state != stale* ]] || say "it was built from other files than there are here now:${state#stale}"
      return
    fi
    [[ $state != failed ]] || say "it cannot be pulled"
    [[ $state != fresh && $state != unknown ]] || return 0
  fi
  say "building $BASE${state:+ ($state)}"
  if [[ -z $splitdeck ]]; then
    build_base
  elif [[ $wanted == --build ]]; then
    "$splitdeck" base build --force -C "$ROOT"
  else
    "$splitdeck" base build -C "$ROOT"
  fi
}

need_base() {
  if [[ -n $BASE_CHOSEN ]]; then
    present "$BASE" || docker pull "$BASE" || die 1 "$BASE is not here and cannot be pulled"
    return
  fi
  local state
  state=$(base_state)
  case $state in
    missing) verb_base ;;
    stale*) say "the base is stale (${state#stale }): building on it all the same; 'base' makes a new one" ;;
  esac
}

verb_pin() {
  [[ $# -le 1 ]] || die 2 "pin takes one version at most"
  local reference=$BASE digest version tag
  if (($#)); then reference=$BASE_NAME:$1; fi
  present "$reference" || die 1 "$reference is not here: 'base' makes it, 'splitdeck base list' tells what there is"
  digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$reference" | grep -F "${REMOTE:-@}" | grep '@' | sed -n 1p) || true
  [[ -n $digest ]] || die 1 "$reference has no digest of a registry${REMOTE:+ ($REMOTE)}: 'splitdeck base publish' or 'splitdeck base pull' gives it one"
  version=$(label "$reference" org.opencontainers.image.version)
  if [[ ! $version =~ ^[0-9]{4}\.[0-9]{2}\.[0-9]{2} ]]; then
    version=
    while read -r tag; do
      if [[ ${tag##*:} =~ ^[0-9]{4}\.[0-9]{2}\.[0-9]{2} ]]; then version=${tag##*:}; fi
    done < <(docker image inspect --format '{{range .RepoTags}}{{println .}}{{end}}' "$reference")
  fi
  [[ -n $version ]] || die 1 "$reference has no date: 'splitdeck base build' gives versions"
  printf 'BASE_IMAGE=%s:%s\nBASE_DIGEST=%s\n' "${digest%@*}" "$version" "${digest#*@}"
}

# --- the app image ----------------------------------------------------------------------------------------------

verb_build() {
  local arguments=() line digest
  if present "$IMAGE:latest" && [[ $(label "$IMAGE:latest" "$PROJECT_LABEL") != "$PROJECT" ]]; then
    die 1 "there is an image $IMAGE:latest that is not this project's: remove it, or set [project] name in config.toml"
  fi
  while read -r line; do arguments+=(--build-arg "$line"); done < <(table build.args)
  if [[ $ROLE == app ]]; then
    need_base
    digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$BASE" | sed -n '1s/.*@//p')
    arguments+=(--build-arg "BASE_IMAGE=$BASE" --label "io.splitdeck.base=$(image_id "$BASE")"
      --label "org.opencontainers.image.base.name=${BASE%@*}" --label "org.opencontainers.image.base.digest=$digest")
  fi
  choose_builder
  docker build --file "$ROOT/$DOCKERFILE" --tag "$IMAGE:latest" --label "$PROJECT_LABEL=$PROJECT" \
    --label "$ROLE_LABEL=$ROLE" "${arguments[@]}" "$@" "$ROOT/$CONTEXT" || die 1 "$IMAGE cannot be built"
  say "built $IMAGE:latest$([[ $ROLE == legacy ]] || echo " on $BASE") in $SECONDS s"
}

need_image() { present "$IMAGE:latest" || verb_build; }

# 1.2.3, 1.2, 1 and latest; what is not final (1.3.0-rc.1) gets no tag that others follow.
release_tags() {
  local version=${1#v}
  [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || die 2 "a release looks like v1.2.3 or v1.3.0-rc.1, not '$1'"
  echo "$version"
  if [[ $version != *-* ]]; then printf '%s\n' "${version%.*}" "${version%%.*}" latest; fi
}

verb_push() {
  (($# >= 2)) || die 2 "push takes a repository and at least one tag, or --release v1.2.3"
  local repository=$1 tag tags
  shift
  if [[ $1 == --release ]]; then
    (($# == 2)) || die 2 "--release takes one version"
    tags=$(release_tags "$2") || exit
    # shellcheck disable=SC2086 # one word a tag
    set -- $tags
  fi
  present "$IMAGE:latest" || die 1 "$IMAGE:latest is not here: 'build' makes it"
  for tag; do
    docker tag "$IMAGE:latest" "$repository:$tag"
    docker push "$repository:$tag" || die 1 "$repository:$tag cannot be pushed: 'docker login ${repository%%/*}' first?"
    printf '%s:%s\n' "$repository" "$tag"
  done
}

# --- the container ----------------------------------------------------------------------------------------------

container_state() { docker container inspect --format '{{.State.Status}}' "$CONTAINER" 2>/dev/null; }
ours() {
  [[ $(docker container inspect --format "{{index .Config.Labels \"$PROJECT_LABEL\"}} {{index .Config.Labels \"$ROLE_LABEL\"}}" "$CONTAINER") == "$PROJECT dev" ]]
}

remove_container() {
  container_state >/dev/null || return 0
  ours || die 1 "there is a container $CONTAINER that is not this project's"
  docker stop --time 2 "$CONTAINER" >/dev/null
  docker rm --force "$CONTAINER" >/dev/null 2>&1 || true # one that ran with --rm goes by itself
  while container_state >/dev/null; do sleep 0.1; done
}

# The source where it was copied to, so that an edit is there without a build; read-only, so that it stays yours.
mounts() {
  local source target root
  root=$(cd "$ROOT/$CONTEXT" && pwd)
  while IFS=$'\t' read -r source target; do
    [[ $target == /* && $source != *[*?]* && $source != *\$* && $target != *\$* && -e $root/$source ]] || continue
    if [[ ! -d $root/$source && $target == */ ]]; then target+=$(basename "$source"); fi
    printf -- '--mount\ntype=bind,source=%s,target=%s,readonly\n' "$root/${source%/}" "${target%/}"
  done < <(copies "$ROOT/$DOCKERFILE" last)
}

publishing() {
  local port first=${PORT:-}
  while read -r port; do
    if [[ -n $first ]]; then
      port=127.0.0.1:$first:${port##*:}
      first=
    elif [[ $port != *:*:* ]]; then
      port=127.0.0.1:$port # as splitdeck does: for this machine, not for the network
    fi
    printf -- '--publish\n%s\n' "$port"
  done < <(setting run ports)
}

container_options() {
  local volume line
  mounts
  publishing
  while read -r volume; do
    case $volume in
      ./* | ../*) volume=$(cd "$ROOT" && pwd)/$volume ;;
    esac
    printf -- '--volume\n%s\n' "$volume"
  done < <(setting run volumes)
  while read -r line; do printf -- '--env\n%s\n' "$line"; done < <(table run.environment)
}

# Any answer below 400 to [run.ready] http, else a port that accepts.
answers() {
  local address path status
  address=$(docker container port "$CONTAINER" 2>/dev/null | sed -nE '1s/.* -> (.*):([0-9]+)$/\1 \2/p')
  [[ -n $address ]] || return 0 # publishes nothing that could be asked
  path=$(setting run.ready http)
  [[ $path == /* || -z $path ]] || path=
  timeout 5 bash -c '
    exec 3<>"/dev/tcp/${1/#0.0.0.0/127.0.0.1}/$2" || exit
    [[ -n $3 ]] || exit 0
    printf "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n" "$3" >&3
    read -r _ status _ <&3 && ((status < 400))' - "${address% *}" "${address#* }" "$path" 2>/dev/null
}

wait_until_ready() {
  local limit started=$SECONDS
  limit=$(setting run.ready timeout_s)
  limit=${limit:-30}
  until answers; do
    if [[ $(container_state) != running ]]; then
      docker logs --tail 20 "$CONTAINER" >&2 || true
      die 1 "the container has ended; its last lines are above"
    elif ((SECONDS - started >= ${limit%.*})); then
      docker logs --tail 20 "$CONTAINER" >&2 || true
      die 1 "the container does not answer after $limit s; its last lines are above"
    fi
    sleep 0.2
  done
}

verb_run() {
  local background= options command
  if [[ ${1:-} == -d ]]; then
    background=yes
    shift
  fi
  need_image
  remove_container
  mapfile -t options < <(container_options)
  mapfile -t command < <(setting run command)
  options+=(--name "$CONTAINER" --label "$PROJECT_LABEL=$PROJECT" --label "$ROLE_LABEL=dev" --init "$@")
  if [[ -z $background ]]; then
    if [[ -t 0 && -t 1 ]]; then options+=(--interactive --tty); fi
    exec docker run --rm "${options[@]}" "$IMAGE:latest" "${command[@]}"
  fi
  docker run --detach "${options[@]}" "$IMAGE:latest" "${command[@]}" >/dev/null || {
    docker rm "$CONTAINER" >/dev/null 2>&1 || true
    die 1 "the container cannot be started; if the port is taken, PORT=8001 names another"
  }
  case ${DOCKER_HOST:-unix:} in
    unix:*) wait_until_ready ;;
    *) say "the engine is not on this machine, so nothing is asked whether it answers" ;;
  esac
  say "$CONTAINER runs, $(docker container port "$CONTAINER" | sed -nE '1s|.* -> (.*)|at http://\1|p')"
}

verb_test() {
  need_image
  (($#)) || set -- "${TEST_COMMAND[@]}"
  docker run --rm --init --entrypoint "$1" "$IMAGE:latest" "${@:2}"
}

verb_shell() {
  local options=(--interactive) mounted
  if [[ -t 0 && -t 1 ]]; then options+=(--tty); fi
  (($#)) || set -- sh
  if [[ $(container_state) == running ]] && ours; then
    exec docker exec "${options[@]}" "$CONTAINER" "$@"
  fi
  need_image
  mapfile -t mounted < <(mounts)
  exec docker run --rm --init "${options[@]}" "${mounted[@]}" --entrypoint "$1" "$IMAGE:latest" "${@:2}"
}

verb_logs() {
  container_state >/dev/null || die 1 "there is no container $CONTAINER: 'run -d' starts one"
  exec docker logs "$@" "$CONTAINER"
}

verb_stop() {
  container_state >/dev/null || { say "there is no container $CONTAINER" && return; }
  remove_container
  say "$CONTAINER is gone"
}

# --- all of it --------------------------------------------------------------------------------------------------

about() { docker image inspect --format '{{slice .Created 0 10}} {{.Size}}' "$1" | awk '{ printf "built %s, %d MB", $1, $2 / 1e6 }'; }

verb_status() {
  local state
  state=$(base_state)
  [[ $state == missing ]] || state="$state ($(about "$BASE"))"
  printf 'base       %s: %s\n' "$BASE" "${state/unknown/what it was built from is not known}"
  if ! present "$IMAGE:latest"; then
    state='not built'
  elif [[ $ROLE == app && $(label "$IMAGE:latest" io.splitdeck.base) != "$(image_id "$BASE")" ]]; then
    state="$(about "$IMAGE:latest"), not on this base"
  else
    state=$(about "$IMAGE:latest")
  fi
  printf '%-10s %s: %s\n' "$ROLE" "$IMAGE:latest" "$state"
  state=$(container_state) || state='not there'
  if [[ $state == running ]]; then answers && state='running, answers' || state='running, does not answer'; fi
  printf 'container  %s: %s\n' "$CONTAINER" "$state"
}

# Labels are inherited, so an image with ours may be one that somebody built on it: it is ours under our names alone.
remove_images() {
  local role=$1 name=$2 image
  while read -r image; do
    docker image rm "$image" >/dev/null 2>&1 && say "removed $image" || say "left $image: it is in use"
  done < <(docker image ls --filter "label=$PROJECT_LABEL=$PROJECT" --filter "label=$ROLE_LABEL=$role" \
    --format '{{if eq .Repository "<none>"}}{{.ID}}{{else}}{{.Repository}}:{{.Tag}}{{end}}' |
    awk -v name="$name" '!/:/ || substr($0, 1, length(name) + 1) == name ":"' | sort -u)
}

verb_clean() {
  local wanted=${1:-} container
  [[ $# -le 1 && $wanted =~ ^(--base|)$ ]] || die 2 "clean takes --base"
  while read -r container; do
    docker rm --force "$container" >/dev/null && say "removed container $container"
  done < <(docker ps --all --filter "label=$PROJECT_LABEL=$PROJECT" --filter "label=$ROLE_LABEL=dev" --format '{{.Names}}')
  remove_images app "$APP_NAME"
  remove_images legacy "$LEGACY_NAME"
  if [[ -n $wanted ]]; then remove_images base "$BASE_NAME"; fi
}

main() {
  while [[ ${1:-} == -C ]]; do
    [[ -d ${2:-} ]] || die 2 "-C takes a folder"
    ROOT=$2
    shift 2
  done
  local verb=${1:-help}
  case $verb in
    base | build | run | test | shell | logs | stop | status | pin | push | clean) ;;
    help | -h | --help) usage && exit 0 ;;
    *) usage >&2 && die 2 "unknown verb: $verb" ;;
  esac
  shift
  case ${1:-} in
    -h | --help) usage && exit 0 ;;
  esac
  read_config
  need_engine
  "verb_$verb" "$@"
}

main "$@"
