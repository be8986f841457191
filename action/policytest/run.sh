#!/usr/bin/env bash
# Run policytest, report it as GitHub shows it, and end with its exit code.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=SCRIPTDIR/../workflow.sh
. "$here/../workflow.sh"
isolate

reports=$RUNNER_TEMP/policytest/reports
mkdir -p "$reports"
percentage='^([0-9]{1,2}(\.[0-9]+)?|100)$'

set -- --format=github --format="sarif=$reports/policytest.sarif" \
  --format="markdown=$reports/policytest.md" --html="$reports/policytest.html"
if [[ -n $INPUT_COV_FAIL_UNDER ]]; then
  [[ $INPUT_COV_FAIL_UNDER =~ $percentage ]] ||
    fail "Wrong input" "'cov-fail-under' is '$INPUT_COV_FAIL_UNDER'; it is a number from 0 to 100."
  set -- "$@" --cov-fail-under="$INPUT_COV_FAIL_UNDER"
fi
case $INPUT_MUTATE in
  true) set -- "$@" --mutate ;;
  false) ;;
  *) fail "Wrong input" "'mutate' is '$INPUT_MUTATE'; it is true or false." ;;
esac
if [[ -n $INPUT_MIN_MUTATION_SCORE ]]; then
  [[ $INPUT_MIN_MUTATION_SCORE =~ $percentage ]] ||
    fail "Wrong input" "'min-mutation-score' is '$INPUT_MIN_MUTATION_SCORE'; it is a number from 0 to 100."
  [[ $INPUT_MUTATE == true ]] || set -- "$@" --mutate
  set -- "$@" --min-mutation-score="$INPUT_MIN_MUTATION_SCORE"
fi
while IFS= read -r word; do
  [[ -z $word ]] || set -- "$@" "$word"
done <<<"$INPUT_ARGUMENTS"
found=
while IFS= read -r -d ' ' path; do
  [[ -n $path ]] || continue
  [[ -e ${path%%::*} ]] || fail "Wrong input" "'paths' names '$path', and there is no such file."
  set -- "$@" "$path"
  found=yes
done <<<"$(printf '%s' "$INPUT_PATHS" | tr '\n\t' '  ') "
[[ -n $found ]] || fail "Wrong input" "'paths' is empty; '.' is every suite of the checkout."

code=0
"${POLICYTEST%/*}/python" -I "$POLICYTEST" "$@" || code=$?
{
  printf 'exit-code=%s\n' "$code"
  for kind in sarif html; do
    if [[ -s $reports/policytest.$kind ]]; then
      printf '%s=%s\n' "$kind" "$reports/policytest.$kind"
    fi
  done
  if [[ -s $reports/policytest.md ]]; then
    printf 'markdown=%s\n' "$reports/policytest.md"
  fi
} >>"$GITHUB_OUTPUT"
if [[ -s $reports/policytest.md ]]; then
  cat "$reports/policytest.md" >>"$GITHUB_STEP_SUMMARY"
fi
exit "$code"
