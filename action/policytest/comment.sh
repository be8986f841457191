#!/usr/bin/env bash
# Write a report as a comment on the pull request, or over the one that was written before.
#
# A pull request from another repository gets none: its jobs have no token that may write, and an event that gives them
# one (pull_request_target) would run with our rights on code that anybody may propose.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=SCRIPTDIR/../workflow.sh
. "$here/../workflow.sh"
isolate

if [[ $EVENT != pull_request || $HEAD_REPOSITORY != "$GITHUB_REPOSITORY" ]]; then
  printf '::notice title=No comment::%s\n' "only pull requests from a branch of this repository get a comment"
  exit 0
fi
[[ $NUMBER =~ ^[0-9]+$ ]] || fail "No pull request" "the event names no pull request."
command -v gh >/dev/null || fail "No gh" "the GitHub CLI writes the comment; without it say comment: false."
marker='<!-- policytest diff -->'
# GitHub takes 65,536 characters.
body=$(head -c 60000 "$1")
comments=repos/$GITHUB_REPOSITORY/issues/$NUMBER/comments
known=$(gh api --paginate "$comments" --jq ".[] | select(.body | startswith(\"$marker\")) | .id")
known=${known%%$'\n'*}
if [[ $known =~ ^[0-9]+$ ]]; then
  gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$known" --raw-field body="$body"
else
  gh api --silent --method POST "$comments" --raw-field body="$body"
fi
