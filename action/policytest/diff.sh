#!/usr/bin/env bash
# Say what a change means for every possible token.  This step runs before the tests, which run Python of the
# checkout: nothing that the change brings along has run when it is judged.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=SCRIPTDIR/../workflow.sh
. "$here/../workflow.sh"
isolate
# The token is for the comment alone: no other program finds it.
token=$INPUT_TOKEN
unset INPUT_TOKEN

case $INPUT_DIFF in
  true) ;;
  false) exit 0 ;;
  *) fail "Wrong input" "'diff' is '$INPUT_DIFF'; it is true or false." ;;
esac
reports=$RUNNER_TEMP/policytest/reports
mkdir -p "$reports"
set -- --format=github --format="markdown=$reports/diff.md" --format="html=$reports/diff.html"
if [[ -n $INPUT_ACCEPT_WIDENING ]]; then
  set -- "$@" --accept-widening="$INPUT_ACCEPT_WIDENING"
fi
if [[ -n $INPUT_ACCEPT_UNDECIDED ]]; then
  set -- "$@" --accept-undecided="$INPUT_ACCEPT_UNDECIDED"
fi
while IFS= read -r folder; do
  [[ -z $folder ]] || set -- "$@" --policy="$folder"
done <<<"$INPUT_POLICY"
if [[ -n $INPUT_DIFF_BASE ]]; then
  set -- "$@" -- "$INPUT_DIFF_BASE"
fi

code=0
rm -f "$reports/diff.md"
"${POLICYTEST%/*}/python" -I "$POLICYTEST" diff "$@" || code=$?
printf 'exit-code=%s\n' "$code" >>"$GITHUB_OUTPUT"
if [[ -s $reports/diff.md ]]; then
  printf 'markdown=%s\n' "$reports/diff.md" >>"$GITHUB_OUTPUT"
  printf 'html=%s\n' "$reports/diff.html" >>"$GITHUB_OUTPUT"
  cat "$reports/diff.md" >>"$GITHUB_STEP_SUMMARY"
  [[ $INPUT_COMMENT != true ]] || GH_TOKEN=$token "$BASH" "$here/comment.sh" "$reports/diff.md"
fi
case $code in
  4) printf '::error title=Nothing compared::%s\n' \
    "policytest diff could not compare; actions/checkout needs the input fetch-depth: 0" ;;
esac
exit "$code"
