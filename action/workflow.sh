# What a script can tell the GitHub Actions runner; sourced by the scripts of both actions.
# Source: GitHub Docs, "Workflow commands for GitHub Actions".
# shellcheck shell=bash

# fail TITLE LINE...: end the step; the lines are shown at the job and in its log.
fail() {
  local title=$1 text
  shift
  text=$(printf '%s\n' "$@")
  text=${text//'%'/%25}
  text=${text//$'\r'/%0D}
  text=${text//$'\n'/%0A}
  printf '::error title=%s::%s\n' "$title" "$text"
  exit 1
}

# mask SECRET: the runner hides it from here on, wherever it is printed.
mask() {
  printf '::add-mask::%s\n' "$1"
}

# find_python: print the path of a Python 3.11 or later of the runner, its own or in its tool cache.
find_python() {
  local candidate
  for candidate in python3 python python3.1{4,3,2,1} "${RUNNER_TOOL_CACHE:-/nowhere}"/Python/3.*/*/bin/python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      command -v "$candidate"
      return
    fi
  done
  fail "No Python" "Python 3.11 or later is needed; add actions/setup-python before this step."
}
