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

# isolate: keep the current directory, which is the checkout, off the search paths of every program that starts from
# here on.  The step may get ID tokens, and whoever wrote the checkout may not.
isolate() {
  local name
  PATH=$(absolute_entries "$PATH")
  # An empty PATH is the current directory too.
  export PATH=${PATH:-/usr/bin:/bin}
  if [[ -n ${LD_LIBRARY_PATH+set} ]]; then
    LD_LIBRARY_PATH=$(absolute_entries "${LD_LIBRARY_PATH//;/:}")
    [[ -n $LD_LIBRARY_PATH ]] || unset LD_LIBRARY_PATH
  fi
  # PYTHONPATH=src and its like: an interpreter with -I ignores them, the ones that pip starts do not.
  for name in ${!PYTHON@}; do
    unset "$name"
  done
}

# absolute_entries LIST: print the entries of a search path that are absolute.  An empty or a relative one is a folder of
# the checkout; `LD_LIBRARY_PATH=$LD_LIBRARY_PATH:/opt/lib` makes an empty one where the variable was not set.
absolute_entries() {
  local entry kept='' rest=$1:
  while [[ -n $rest ]]; do
    entry=${rest%%:*}
    rest=${rest#*:}
    [[ $entry != /* ]] || kept=$kept:$entry
  done
  printf '%s' "${kept#:}"
}

# outside_checkout FOLDER: whether a folder, which need not exist, is absolute and not in the checkout.
outside_checkout() {
  local folder=$1 checkout
  [[ $folder == /* ]] || return 1
  [[ -n ${GITHUB_WORKSPACE:-} ]] || return 0
  [[ $folder/ != "${GITHUB_WORKSPACE%/}"/* ]] || return 1
  checkout=$(cd "$GITHUB_WORKSPACE" && pwd -P) || return 1
  if [[ -d $folder ]]; then
    folder=$(cd "$folder" && pwd -P) || return 1
  fi
  [[ $folder/ != "$checkout"/* ]]
}

# is_python PROGRAM: whether it is Python 3.11 or later, the first that has -P.
is_python() {
  "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# find_python: print the path of a Python 3.11 or later of the runner, its own or in its tool cache.
find_python() {
  local candidate
  for candidate in python3 python python3.1{4,3,2,1} "${RUNNER_TOOL_CACHE:-/nowhere}"/Python/3.*/*/bin/python; do
    if is_python "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  fail "No Python" "Python 3.11 or later is needed; add actions/setup-python before this step."
}
