#!/usr/bin/env bash
# The daily work on split images with nothing but the Docker CLI: base, app image, container, tests.
# shellcheck disable=SC2119,SC2120 # verbs are called by their names, with arguments
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: scripts/docker-dev.sh [-C DIR] VERB [ARGUMENTS]

  base [--pull|--build]     make sure that the base image is here and fresh: pull it, or build it where it cannot be
                            pulled; --pull asks the registry anyway, --build builds anyway
  build [ARGUMENTS]         build the app image on the base; ARGUMENTS go to docker build
  run [-d] [ARGUMENTS]      build it, and run it with its source mounted read-only over the image's; -d in the
                            background, once it answers; ARGUMENTS go to docker run
  test [COMMAND…]           build it, and run its own tests in it (python -m pytest -q /app/tests)
  shell [COMMAND…]          a shell, or a command, in the running container, else in one of its own
  logs [ARGUMENTS]          what the container in the background wrote; -f goes on
  stop                      end and remove it
  status                    one line each for base, app image and container
  pin [VERSION]             the base by date and digest, as docker-compose.prod.yml wants it: two lines NAME=value
  push REPOSITORY TAG…      push the app image as REPOSITORY:TAG; --release v1.2.3 in place of TAG gives a release's tags
  clean [--base]            remove this project's containers and app images; with --base its base images, too
  help

Names, Dockerfiles, ports, volumes, environment and build arguments are those of config.toml in DIR (default: this
repository), each key on a line of its own; [app] mode = "legacy" makes build, run and the rest take the legacy image.

Where splitdeck is installed the base is left to it, which gives versions, checks them and holds major updates back,
and so are builds without ARGUMENTS. Without it docker builds or pulls the base and makes it latest, and build secrets
are to be given as ARGUMENTS.

Environment:  BASE_IMAGE   build on this image in place of config.toml's; it is pulled if it is not here
              PORT         publish the first port of [run] ports as this one
              SPLITDECK    the splitdeck command; empty: do without (default: .venv/bin/splitdeck, then the PATH's)
              DOCKER_BUILDKIT=0   the classic builder, which is taken anyway where the Docker CLI has no buildx
Exit status:  0 done   1 a build, check or test failed   2 wrong usage or config.toml   3 no engine answers
              run and shell: that of what they ran
USAGE
}

HERE=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
readonly HERE
ROOT=$HERE/..
readonly PROJECT_LABEL=io.splitdeck.project ROLE_LABEL=io.splitdeck.role INPUTS_LABEL=io.splitdeck.inputs
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

# A table of texts, as lines NAME=text: `[build.args]`, or `args = { … }` in `[build]`. NAME = { env = "VARIABLE" } has
# the variable's value, or none.
texts() {
  awk -v within="[$1]" -v table="[$1.$2]" -v key="$2" '
    function tell(rest,  name, text, variable) {
      while (match(rest, /^[ \t,]*[A-Za-z0-9_-]+[ \t]*=[ \t]*([{][ \t]*env[ \t]*=[ \t]*)?("[^"]*"|\047[^\047]*\047)[ \t]*[}]?/)) {
        name = text = substr(rest, 1, RLENGTH)
        rest = substr(rest, RLENGTH + 1)
        variable = text ~ /=[ \t]*[{]/
        sub(/[ \t]*=.*/, "", name); sub(/^[ \t,]*/, "", name)
        sub(/^[^\042\047]*[\042\047]/, "", text); sub(/[\042\047][ \t]*[}]?$/, "", text)
        if (!variable) print name "=" text
        else if (text in ENVIRON) print name "=" ENVIRON[text]
      }
    }
    /^[ \t]*\[/ { inside = ($1 == table); around = ($1 == within); next }
    inside { tell($0) }
    around && $0 ~ "^[ \t]*" key "[ \t]*=[ \t]*[{]" { sub(/^[^{]*[{]/, ""); tell($0) }' "$ROOT/config.toml"
}

names_registry() { [[ $1 == */* && (${1%%/*} == *[.:]* || ${1%%/*} == localhost) ]]; }

read_config() {
  [[ -f $ROOT/config.toml ]] || die 2 "no config.toml in $ROOT: name the project's folder with -C DIR"
  ROOT=$(cd "$ROOT" && pwd)
  local folder
  folder=$(sed -E 's/.*/\L&/; s/[^a-z0-9]+/-/g; s/^-+|-+$//g' <<<"${ROOT##*/}")
  PROJECT=$(setting project name)
  PROJECT=${PROJECT:-${folder:-app}}

  BASE_DOCKERFILE=$(setting base dockerfile)
  BASE_CONTEXT=$(setting base context)
  BASE_NAME=$(setting base image)
  BASE_NAME=${BASE_NAME:-$PROJECT-base}
  BASE_VERSION=$(setting base version)
  BASE_VERSION=${BASE_VERSION:-latest}
  REMOTE=${SPLITDECK_BASE_REPOSITORY:-$(setting base repository)}
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
  IMAGE=$APP_NAME:latest
  if [[ $ROLE == legacy ]]; then IMAGE=$LEGACY_NAME:latest; fi
  CONTAINER=$PROJECT-dev

  [[ -n $BASE_DOCKERFILE && -f $ROOT/$BASE_DOCKERFILE ]] || die 2 "config.toml: [base] dockerfile names no file"
  [[ -n $DOCKERFILE && -f $ROOT/$DOCKERFILE ]] || die 2 "config.toml: [$ROLE] dockerfile names no file"

  SPLITDECK=${SPLITDECK-$(command -v "$ROOT/.venv/bin/splitdeck" splitdeck | head -n 1 || true)}
}

# --- the engine -------------------------------------------------------------------------------------------------

need_engine() {
  has docker || die 3 "there is no docker command: scripts/ensure-engine.sh installs an engine with one"
  CLIENT_VERSION=$(timeout 20 docker version --format '{{.Client.Version}}' 2>/dev/null) ||
    die 3 "no engine answers: 'docker version' tells more, scripts/ensure-engine.sh starts one"
}

# From 23 on, the Docker CLI has BuildKit in a plugin, without which DOCKER_BUILDKIT=1 is an error.
docker_build() {
  local arguments=() line
  while read -r line; do arguments+=(--build-arg "$line"); done < <(texts build args)
  export DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-1}
  if [[ $DOCKER_BUILDKIT == 1 ]] && ((${CLIENT_VERSION%%.*} >= 23)) && ! docker buildx version >/dev/null 2>&1; then
    say "this Docker CLI has no buildx (package docker-buildx): building with the classic builder"
    DOCKER_BUILDKIT=0
  fi
  docker build --label "$PROJECT_LABEL=$PROJECT" "${arguments[@]}" "$@" >&2
}

# Prints nothing where there is no such label, and fails where there is no such image.
label() {
  docker image inspect --format "{{with .Config.Labels}}{{with index . \"$2\"}}{{.}}{{end}}{{end}}" "$1" 2>/dev/null
}
image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null; }
present() { image_id "$1" >/dev/null; }
digests() { docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$1"; }

need_own_image() {
  present "$IMAGE" || die 1 "$IMAGE is not here: 'build' makes it"
  refuse_foreign_image
}

refuse_foreign_image() {
  local owner
  owner=$(label "$IMAGE" "$PROJECT_LABEL") || return 0
  [[ $owner == "$PROJECT" ]] ||
    die 1 "there is an image $IMAGE that is not this project's: remove it, or set [project] name in config.toml"
}

# --- the base ---------------------------------------------------------------------------------------------------

# A Dockerfile's lines `COPY source… target`, as source<TAB>target; with "last" those of the last stage.
copies() {
  sed -e ':a' -e '/\\$/N; s/\\\n/ /; ta' "$1" | awk -v last="${2:-}" '
    { word_1 = toupper($1) }
    word_1 == "FROM" { folder = ""; if (last) count = 0 }
    word_1 == "WORKDIR" { folder = ($2 ~ /^\// ? "" : folder "/") $2 }
    (word_1 != "COPY" && word_1 != "ADD") || /--from=|<<|\[|:\/\// { next }
    {
      words = 0
      for (i = 2; i <= NF; i++) if ($i !~ /^--/) word[++words] = $i
      target = word[words]
      if (target !~ /^\// && folder) { sub(/^\.\/?/, "", target); target = folder "/" target }
      for (i = 1; i < words; i++) found[++count] = word[i] "\t" target
    }
    END { for (i = 1; i <= count; i++) print found[i] }'
}

files_below() {
  local path
  while read -r path; do
    find "${path%/}" -name __pycache__ -prune -o \( -type f -o -type l \) -print
  done < <(compgen -G "$1")
}

base_inputs() {
  local source pattern
  (
    cd "$ROOT"
    shopt -s globstar
    printf '%s\n' "$BASE_DOCKERFILE"
    while IFS=$'\t' read -r source _; do
      files_below "${BASE_CONTEXT:+$BASE_CONTEXT/}${source#/}"
    done < <(copies "$BASE_DOCKERFILE")
    while read -r pattern; do files_below "$pattern"; done < <(setting base inputs)
  ) | sed -E 's|^(\./)+||' | sort -u
}

# As splitdeck counts it: the content, and whether it can be run.
hash_of() {
  local path=$ROOT/$1
  {
    if [[ -L $path ]]; then
      printf 'link\0%s' "$(readlink "$path")"
    else
      [[ -z $(find "$path" -perm /111) ]] || printf 'run\0'
      cat "$path"
    fi
  } | sha256sum | cut -c 1-12
}

inputs_label() {
  local path paths pairs=
  mapfile -t paths < <(base_inputs)
  if ((${#paths[@]} > 200)); then # a label is no place for more
    printf '{"*": ""}' && return
  fi
  for path in "${paths[@]}"; do pairs+="${pairs:+, }\"$path\": \"$(hash_of "$path")\""; done
  printf '{%s}' "$pairs"
}

# What the base is, in a word: missing, fresh, unknown (whoever built it did not write down from what), or stale and
# the files that changed.
base_state() {
  local recorded path hash stale=
  recorded=$(label "$BASE" "$INPUTS_LABEL") || { echo missing && return; }
  if [[ -z $recorded || $recorded == *'"*"'* ]]; then echo unknown && return; fi
  while IFS=$'\t' read -r path hash; do
    path=$(LC_ALL=C.UTF-8 printf %b "$path") # splitdeck writes é as \u00e9
    if [[ ! -e $ROOT/$path && ! -L $ROOT/$path ]] || [[ $(hash_of "$path") != "$hash" ]]; then stale+=" $path"; fi
  done < <(grep -oE '"[^"]+": *"[^"]*"' <<<"$recorded" | sed -E 's/^"(.*)": *"(.*)"$/\1\t\2/')
  # Which files splitdeck took, by .dockerignore, is not known here; of a base that was built here all are.
  if [[ -z $(label "$BASE" io.splitdeck.fingerprint) ]]; then
    while read -r path; do [[ $recorded == *"\"$path\":"* ]] || stale+=" $path"; done < <(base_inputs)
  fi
  echo "${stale:+stale}${stale:-fresh}"
}

pull_base() {
  [[ -n $REMOTE ]] || die 2 "there is no registry to pull from: set [base] repository in config.toml"
  say "pulling the base from $REMOTE"
  if [[ -n $SPLITDECK ]]; then
    "$SPLITDECK" base pull -C "$ROOT" >&2
  elif [[ $BASE == *@* || $REMOTE == "$BASE_NAME" ]]; then
    docker pull "$BASE" >&2
  else
    docker pull "$REMOTE:$BASE_VERSION" >&2 && docker tag "$REMOTE:$BASE_VERSION" "$BASE"
  fi
}

build_base() {
  [[ $BASE_VERSION == latest ]] ||
    die 2 "the base is pinned to $BASE_VERSION, which no build can make: pull it, or set [base] version to latest"
  if [[ -n $SPLITDECK ]]; then
    "$SPLITDECK" base build "$@" -C "$ROOT" >&2
    return
  fi
  docker_build --file "$ROOT/$BASE_DOCKERFILE" --tag "$BASE" --label "$ROLE_LABEL=base" \
    --label "$INPUTS_LABEL=$(inputs_label)" "$ROOT/$BASE_CONTEXT" ||
    die 1 "the base cannot be built; app images can still be built on the one before, if there is one"
  say "built $BASE in $SECONDS s"
}

verb_base() {
  [[ $# -le 1 && ${1:-} =~ ^(--pull|--build|)$ ]] || die 2 "base takes --pull or --build"
  [[ -z $BASE_CHOSEN ]] || die 2 "BASE_IMAGE is set ($BASE_CHOSEN), so config.toml's base is not asked for: unset it"
  case ${1:-} in
    --pull) pull_base || die 1 "it cannot be pulled; what was here is still here" ;;
    --build) build_base --force ;;
    *) ensure_base ;;
  esac
}

ensure_base() {
  local state
  state=$(base_state)
  if [[ $state == missing && -n $REMOTE ]]; then
    if pull_base; then state=$(base_state); else say "it cannot be pulled"; fi
  fi
  case $state in
    fresh | unknown)
      # splitdeck knows of more that makes a base stale, and builds nothing while it is fresh.
      if [[ -n $SPLITDECK && $BASE_VERSION == latest ]]; then
        build_base
      else
        say "$BASE is $([[ $state == fresh ]] && echo fresh || echo 'here; what it was built from is not known')"
      fi
      ;;
    *)
      say "$BASE is ${state/#stale/stale:}, building it"
      build_base
      ;;
  esac
}

need_base() {
  if [[ -n $BASE_CHOSEN ]]; then
    present "$BASE" || docker pull "$BASE" >&2 || die 1 "$BASE is not here and cannot be pulled"
    return
  fi
  local state
  state=$(base_state)
  case $state in
    missing) ensure_base ;;
    stale*) say "the base is stale (${state#stale }): building on it all the same; 'base' makes a new one" ;;
  esac
}

verb_pin() {
  [[ $# -le 1 ]] || die 2 "pin takes one version at most"
  [[ -n $REMOTE ]] || die 2 "only a registry gives digests: set [base] repository in config.toml"
  local reference=$BASE digest version dates
  if (($#)); then reference=$BASE_NAME:$1; fi
  present "$reference" || die 1 "$reference is not here: 'base' makes it"
  digest=$(digests "$reference" | sed -n "s|^$REMOTE@||p" | head -n 1)
  [[ -n $digest ]] ||
    die 1 "$reference is not known to $REMOTE: 'splitdeck base publish' or 'splitdeck base pull' makes it so"
  version=$(label "$reference" org.opencontainers.image.version)
  dates=$(docker image inspect --format '{{range .RepoTags}}{{println .}}{{end}}' "$reference" |
    sed -nE 's/.*:([0-9]{4}\.[0-9]{2}\.[0-9]{2}(\.[0-9]+)?)$/\1/p' | sort -u)
  if [[ -n $dates ]] && ! grep -qxF "$version" <<<"$dates"; then version=${dates%%$'\n'*}; fi
  [[ $version =~ ^[0-9]{4}\.[0-9]{2}\.[0-9]{2}(\.[0-9]+)?$ ]] ||
    die 1 "$reference has no date: 'splitdeck base build' gives versions"
  printf 'BASE_IMAGE=%s:%s\nBASE_DIGEST=%s\n' "$REMOTE" "$version" "$digest"
}

# --- the app image ----------------------------------------------------------------------------------------------

verb_build() {
  local arguments=() stage digest
  refuse_foreign_image
  if [[ $ROLE == app ]]; then need_base; fi
  if [[ -n $SPLITDECK && -z $BASE_CHOSEN && $# -eq 0 ]]; then
    "$SPLITDECK" build "$ROLE" -C "$ROOT" >&2
    return
  fi
  if [[ $ROLE == app ]]; then
    stage=$(setting app target)
    digest=$(digests "$BASE" | sed -n '1s/.*@//p')
    arguments=(
      ${stage:+--target "$stage"} --build-arg "BASE_IMAGE=$BASE" --label "io.splitdeck.base=$(image_id "$BASE")"
      --label "org.opencontainers.image.base.name=${BASE%@*}"
      ${digest:+--label "org.opencontainers.image.base.digest=$digest"}
    )
  fi
  docker_build --file "$ROOT/$DOCKERFILE" --tag "$IMAGE" --label "$ROLE_LABEL=$ROLE" "${arguments[@]}" "$@" \
    "$ROOT/$CONTEXT" || die 1 "$IMAGE cannot be built"
  say "built $IMAGE$([[ $ROLE == legacy ]] || echo " on $BASE") in $SECONDS s"
}

# 1.2.3, 1.2, 1 and latest; what is not final (1.3.0-rc.1) gets no tag that others follow.
release_tags() {
  local version=${1#v}
  [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
    die 2 "a release looks like v1.2.3 or v1.3.0-rc.1, not '$1'"
  echo "$version"
  if [[ $version != *-* ]]; then printf '%s\n' "${version%.*}" "${version%%.*}" latest; fi
}

verb_push() {
  (($# >= 2)) || die 2 "push takes a repository and at least one tag, or --release v1.2.3"
  local repository=$1 tag tags=("${@:2}")
  if [[ $2 == --release ]]; then
    (($# == 3)) || die 2 "--release takes one version"
    tag=$(release_tags "$3") || exit
    mapfile -t tags <<<"$tag"
  fi
  need_own_image
  for tag in "${tags[@]}"; do
    docker tag "$IMAGE" "$repository:$tag" || die 2 "$repository:$tag is no name for an image"
    docker push "$repository:$tag" >&2 ||
      die 1 "$repository:$tag cannot be pushed: 'docker login ${repository%%/*}' first?"
    printf '%s:%s\n' "$repository" "$tag"
  done
}

# --- the container ----------------------------------------------------------------------------------------------

container_state() { docker container inspect --format '{{.State.Status}}' "$CONTAINER" 2>/dev/null; }
ours() {
  local labels="{{index .Config.Labels \"$PROJECT_LABEL\"}} {{index .Config.Labels \"$ROLE_LABEL\"}}"
  [[ $(docker container inspect --format "$labels" "$CONTAINER" 2>/dev/null) == "$PROJECT dev" ]]
}
refuse_foreign_container() {
  if container_state >/dev/null && ! ours; then die 1 "there is a container $CONTAINER that is not this project's"; fi
}

remove_container() {
  container_state >/dev/null || return 0
  docker stop -t 2 "$CONTAINER" >/dev/null 2>&1 || true # one that ran with --rm goes by itself
  docker rm --force "$CONTAINER" >/dev/null 2>&1 || ! container_state >/dev/null || die 1 "$CONTAINER cannot be removed"
}

# The source where it was copied to, so that an edit is there without a build; read-only, so that it stays yours.
mounts() {
  local source target path
  while IFS=$'\t' read -r source target; do
    path=$ROOT/${CONTEXT:+$CONTEXT/}${source#/}
    [[ $target == /* && $source$target != *[*?\$]* && -e $path ]] || continue
    if [[ ! -d $path && $target == */ ]]; then target+=${source##*/}; fi
    printf -- '--mount\ntype=bind,"source=%s","target=%s",readonly\n' "${path%/}" "${target%/}"
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
  local text
  mounts
  publishing
  while read -r text; do
    case $text in
      ./* | ../*) text=$ROOT/$text ;;
    esac
    printf -- '--volume\n%s\n' "$text"
  done < <(setting run volumes)
  text=$(setting run env_file)
  if [[ -n $text ]]; then printf -- '--env-file\n%s\n' "$ROOT/$text"; fi
  text=$(setting run network)
  if [[ -n $text ]]; then printf -- '--network\n%s\n' "$text"; fi
  while read -r text; do printf -- '--env\n%s\n' "$text"; done < <(texts run environment)
}

# An answer below 400 to [run.ready] http, else a port that accepts and keeps what it accepted: Docker's own proxy
# accepts before the app does. What publishes no port cannot be asked.
answers() (
  local address path status=0 connection
  address=$(docker container port "$CONTAINER" 2>/dev/null | sed -nE '1s|.* -> (.*):([0-9]+)$|\1/\2|p')
  if [[ -z $address ]]; then
    [[ -z $(setting run ports) ]] # one that has just ended publishes nothing either
    return
  fi
  exec {connection}<>"/dev/tcp/${address/#0.0.0.0/127.0.0.1}" || return
  path=$(setting run.ready http)
  if [[ $path == /* ]]; then
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$path" >&"$connection"
    read -r -t 5 _ status _ <&"$connection" && ((status < 400))
  else
    read -r -t 0.3 -n 1 _ <&"$connection" || status=$?
    ((status != 1)) # the end; a time-out is above 128
  fi
) 2>/dev/null

wait_until_ready() {
  local limit started=$SECONDS why=
  limit=$(setting run.ready timeout_s)
  limit=${limit:-30}
  while [[ -z $why ]]; do
    if [[ $(container_state) != running ]]; then
      why="the container has ended"
    elif answers; then
      return
    elif ((SECONDS - started >= ${limit%.*})); then
      why="the container does not answer after $limit s"
    else
      sleep 0.2
    fi
  done
  docker logs --tail 20 "$CONTAINER" >&2 || true
  die 1 "$why; its last lines are above"
}

verb_run() {
  local background='' options command
  if [[ ${1:-} == -d ]]; then
    background=yes
    shift
  fi
  refuse_foreign_container
  verb_build
  remove_container
  mapfile -t options < <(container_options)
  mapfile -t command < <(setting run command)
  options+=(--name "$CONTAINER" --label "$PROJECT_LABEL=$PROJECT" --label "$ROLE_LABEL=dev" --init "$@")
  if [[ -z $background ]]; then
    if [[ -t 0 && -t 1 ]]; then options+=(--interactive --tty); fi
    exec docker run --rm "${options[@]}" "$IMAGE" "${command[@]}"
  fi
  docker run --detach "${options[@]}" "$IMAGE" "${command[@]}" >/dev/null || {
    docker rm "$CONTAINER" >/dev/null 2>&1 || true
    die 1 "the container cannot be started, see above; where the port is taken, PORT=8001 names another"
  }
  case ${DOCKER_HOST:-unix:} in
    unix:*) wait_until_ready ;;
    *) say "the engine is not on this machine, so nothing is asked whether it answers" ;;
  esac
  say "$CONTAINER runs$(docker container port "$CONTAINER" | sed -nE '1s|.* -> (.*)|, at http://\1|p')"
}

verb_test() {
  verb_build
  (($#)) || set -- "${TEST_COMMAND[@]}"
  docker run --rm --init --entrypoint "$1" "$IMAGE" "${@:2}" || die 1 "the tests failed"
}

verb_shell() {
  local options=(--interactive) mounted
  if [[ -t 0 && -t 1 ]]; then options+=(--tty); fi
  (($#)) || set -- sh
  if [[ $(container_state) == running ]] && ours; then exec docker exec "${options[@]}" "$CONTAINER" "$@"; fi
  if present "$IMAGE"; then refuse_foreign_image; else verb_build; fi
  mapfile -t mounted < <(mounts)
  exec docker run --rm --init "${options[@]}" "${mounted[@]}" --entrypoint "$1" "$IMAGE" "${@:2}"
}

verb_logs() {
  container_state >/dev/null || die 1 "there is no container $CONTAINER: 'run -d' starts one"
  refuse_foreign_container
  exec docker logs "$@" "$CONTAINER"
}

verb_stop() {
  (($# == 0)) || die 2 "stop takes no arguments"
  container_state >/dev/null || { say "there is no container $CONTAINER" && return; }
  refuse_foreign_container
  remove_container
  say "$CONTAINER is gone"
}

# --- all of it --------------------------------------------------------------------------------------------------

about() {
  docker image inspect --format '{{slice .Created 0 10}} {{.Size}}' "$1" |
    awk '{ printf "built %s, %d MB", $1, $2 / 1e6 }'
}

verb_status() {
  (($# == 0)) || die 2 "status takes no arguments"
  local state
  state=$(base_state)
  [[ $state == missing ]] || state="${state/#stale/stale:} ($(about "$BASE"))"
  printf 'base       %s: %s\n' "$BASE" "${state/unknown/what it was built from is not known}"
  if ! present "$IMAGE"; then
    state='not built'
  elif [[ $(label "$IMAGE" "$PROJECT_LABEL") != "$PROJECT" ]]; then
    state="not this project's"
  else
    state=$(about "$IMAGE")
    if [[ $ROLE == app && $(label "$IMAGE" io.splitdeck.base) != "$(image_id "$BASE")" ]]; then
      state+=", not on this base"
    fi
  fi
  printf '%-10s %s: %s\n' "$ROLE" "$IMAGE" "$state"
  state=$(container_state) || state='not there'
  if [[ $state != 'not there' ]] && ! ours; then
    state="not this project's"
  elif [[ $state == running ]]; then
    state="running, $(answers && echo answers || echo 'does not answer')"
  fi
  printf 'container  %s: %s\n' "$CONTAINER" "$state"
}

# Labels are inherited, so an image with ours may be one that somebody built on it: it is ours under our names alone,
# or without any, as a build leaves the one before it.
remove_images() {
  local role=$1 name=$2 image
  docker image ls --filter "label=$PROJECT_LABEL=$PROJECT" --filter "label=$ROLE_LABEL=$role" \
    --format '{{if eq .Repository "<none>"}}{{.ID}}{{else}}{{.Repository}}:{{.Tag}}{{end}}' |
    awk -v name="$name" '!/:/ || substr($0, 1, length(name) + 1) == name ":"' | sort -u |
    while read -r image; do
      if docker image rm "$image" >/dev/null 2>&1; then say "removed $image"; else say "left $image: it is in use"; fi
    done
}

verb_clean() {
  [[ $# -le 1 && ${1:-} =~ ^(--base|)$ ]] || die 2 "clean takes --base"
  docker ps --all --filter "label=$PROJECT_LABEL=$PROJECT" --filter "label=$ROLE_LABEL=dev" --format '{{.Names}}' |
    while read -r container; do
      docker rm --force "$container" >/dev/null
      say "removed container $container"
    done
  remove_images app "$APP_NAME"
  remove_images legacy "$LEGACY_NAME"
  if (($#)); then remove_images base "$BASE_NAME"; fi
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
