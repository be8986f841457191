# The credential helper, installed for the rest of the job; sourced by registry.sh, which sets the variables.
#
# It is the project's own, at the action's own ref, and needs Python's standard library only.
# shellcheck shell=bash disable=SC2154

# install_helper: have clients ask docker-credential-regauth for the login at `registry`.
install_helper() {
  local python place=$RUNNER_TEMP/regauth
  python=$(find_python) || {
    printf '%s\n' "$python"
    exit 1
  }
  mkdir -p "$place/bin" "$place/lib"
  # The import package `regauth` is the repository's root.
  ln -sfn "$(cd "$here/.." && pwd -P)" "$place/lib/regauth"
  # Clients start it in the checkout, with the environment of any later step: -I keeps the checkout and PYTHON* off its
  # search path, -S what the job has installed.
  printf '#!/bin/sh\nexec "%s" -I -S "%s" "%s" "$@"\n' \
    "$python" "$here/credential_helper.py" "$place/lib" >"$place/bin/docker-credential-regauth"
  chmod 700 "$place/bin/docker-credential-regauth"
  "$python" -I -S "$here/helper_files.py" add "$folder/config.json" "$place/credential-helper.json" \
    "$registry" "$username" "$audience"
  printf '%s\n' "$place/bin" >>"$GITHUB_PATH"
  printf 'REGAUTH_CREDENTIAL_HELPER_CONFIG=%s\n' "$place/credential-helper.json" >>"$GITHUB_ENV"
  export PATH="$place/bin:$PATH" REGAUTH_CREDENTIAL_HELPER_CONFIG="$place/credential-helper.json"
  printf '%s\n' "$registry" | docker-credential-regauth get >/dev/null ||
    fail "The credential helper does not work" "docker-credential-regauth says why when run by hand."
}

# uses_helper FILE: whether install_helper wrote into it.
uses_helper() {
  grep -q '"regauth"' "$1"
}

# remove_helper: undo install_helper for `registry`.
remove_helper() {
  local python place=$RUNNER_TEMP/regauth
  python=$(find_python) || {
    printf '%s\n' "$python"
    exit 1
  }
  "$python" -I -S "$here/helper_files.py" remove "$folder/config.json" \
    "$place/credential-helper.json" "$registry"
}
