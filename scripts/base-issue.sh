#!/usr/bin/env bash
# Tells people how the last renewal of the base image went, by an issue: opened, commented on, or closed.
set -euo pipefail

usage() {
  cat <<'USAGE'
Usage: scripts/base-issue.sh [--help]

What did not go well opens an issue with the label base-image, or is a comment on the one that is open. A base that was
published closes it. Takes gh, the GitHub command line.

Environment:  OUTCOME   published, fresh, held or failed (scripts/publish_base.py); empty: it ended without a word
              REPORT    what there is to say, Markdown
              RUN_URL   where all of it can be read
              GITHUB_REPOSITORY, GH_TOKEN   as on a runner
Exit status:  0 told, or nothing to tell   1 GitHub refused   2 wrong usage
USAGE
}

readonly LABEL=base-image

die() {
  printf 'base-issue: %s\n' "$2" >&2
  exit "$1"
}

open_issue() { gh issue list --label "$LABEL" --state open --limit 1 --json number --jq '.[].number' </dev/null; }

tell() {
  local title=$1 number
  number=$(open_issue)
  if [[ -n $number ]]; then
    gh issue comment "$number" --body-file -
  else
    gh label create "$LABEL" --force --color d4a72c --description "The base image's renewal needs somebody" </dev/null >/dev/null
    gh issue create --title "$title" --label "$LABEL" --body-file -
  fi
}

close() {
  local number
  number=$(open_issue)
  [[ -n $number ]] || return 0
  gh issue close "$number" --comment "${REPORT%%$'\n'*} ([run]($RUN_URL))"
}

main() {
  case ${1:-} in
    '') ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && die 2 "unknown argument: $1" ;;
  esac
  : "${RUN_URL:?where all of it can be read}" "${GITHUB_REPOSITORY:?}"
  export GH_REPO=$GITHUB_REPOSITORY
  case ${OUTCOME-} in
    published) close ;;
    fresh) ;; # says nothing about what an open issue is about
    held) tell 'A new base image waits for approval' <<<"$REPORT"$'\n\n'"[The run]($RUN_URL)" ;;
    failed) tell 'The base image could not be renewed' <<<"$REPORT"$'\n\n'"[The run]($RUN_URL)" ;;
    '') tell 'The base image could not be renewed' <<<"The renewal of the base image ended without a word; [the run]($RUN_URL) may tell why. The published base is as it was." ;;
    *) die 2 "unknown outcome: $OUTCOME" ;;
  esac
}

main "$@"
