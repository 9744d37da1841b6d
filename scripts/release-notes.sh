#!/usr/bin/env bash
# Makes the release of a tag on GitHub, with the base image named in its notes.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: scripts/release-notes.sh TAG

Makes the release with notes from the pull requests since the one before. A release that is there already (made by hand,
or by an earlier run) keeps its notes and has its base named in them. A tag with a hyphen (v1.3.0-rc.1) makes a
prerelease. Takes gh, the GitHub command line.

Environment:  BASE_IMAGE, BASE_DIGEST   the base, as `scripts/docker-dev.sh pin` tells it
              GITHUB_REPOSITORY, GH_TOKEN   as on a runner
Exit status:  0 done   1 GitHub refused   2 wrong usage
USAGE
}

main() {
  case ${1:-} in
    -h | --help) usage && exit 0 ;;
  esac
  if (($# != 1)) || [[ -z ${BASE_IMAGE:-} || -z ${BASE_DIGEST:-} ]]; then
    usage >&2
    exit 2
  fi
  export GH_REPO=${GITHUB_REPOSITORY:?}
  local tag=$1 notes base="Base image: \`$BASE_IMAGE@$BASE_DIGEST\`" options=()
  if notes=$(gh release view "$tag" --json body --jq .body); then
    { sed '/^Base image: /d' <<<"$notes" && printf '\n%s\n' "$base"; } | cat -s | gh release edit "$tag" --notes-file -
  else
    [[ $tag != *-* ]] || options=(--prerelease)
    gh release create "$tag" --verify-tag --generate-notes --notes "$base" "${options[@]}"
  fi
}

main "$@"
