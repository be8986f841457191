#!/usr/bin/env bash
# Install policytest, at the action's own ref, into an environment of its own.
set -euo pipefail
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=SCRIPTDIR/../workflow.sh
. "$here/../workflow.sh"
isolate

place=$RUNNER_TEMP/policytest
if [[ -n $INPUT_PYTHON ]]; then
  python=$(command -v "$INPUT_PYTHON") || python=
  is_python "$python" || fail "Wrong Python" "'$INPUT_PYTHON' is not Python 3.11 or later."
  [[ $python == /* ]] || python=$PWD/$python
else
  python=$(find_python) || {
    printf '%s\n' "$python"
    exit 1
  }
fi
# A build writes into its source; the action's own folder stays as it was checked out.
rm -rf "$place"
mkdir -p "$place/source"
root=$(cd "$here/../.." && pwd -P)
for name in controller engine policytests schemas servers pyproject.toml README.md LICENSE; do
  cp -R "$root/$name" "$place/source/"
done
# pip's own children start here too, and a relative PIP_CONFIG_FILE or PIP_CONSTRAINT names no file of the checkout.
cd "$place"
"$python" -I -m venv "$place/venv"
"$place/venv/bin/python" -I -m pip install --quiet --disable-pip-version-check "$place/source[policytest]" ||
  fail "policytest cannot be installed" "pip says why above."
printf 'policytest=%s\n' "$place/venv/bin/policytest" >>"$GITHUB_OUTPUT"
