#!/usr/bin/env bash
# Log in to a container registry with the job's ID token, or log out.
#
# The inputs come as INPUT_* in the environment.  Runs on bash 3.2 (macOS) and later.
set -euo pipefail
umask 077
here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
# shellcheck source=SCRIPTDIR/workflow.sh
. "$here/workflow.sh"
isolate
# shellcheck source=SCRIPTDIR/id_token.sh
. "$here/id_token.sh"
# shellcheck source=SCRIPTDIR/clients.sh
. "$here/clients.sh"
# shellcheck source=SCRIPTDIR/helper.sh
. "$here/helper.sh"
# shellcheck source=SCRIPTDIR/diagnose.sh
. "$here/diagnose.sh"

# One line each: what is written into GITHUB_ENV must not bring lines of its own.
read_inputs() {
  local value
  for value in "$INPUT_REGISTRY" "$INPUT_USERNAME" "$INPUT_AUDIENCE" "$INPUT_DOCKER_CONFIG" \
    "$INPUT_DIAGNOSE"; do
    [[ $value != *[[:cntrl:]]* ]] || fail "Wrong input" "An input has more than one line."
  done
  registry=${INPUT_REGISTRY#https://}
  registry=${registry%/}
  registry=$(printf '%s' "$registry" | tr '[:upper:]' '[:lower:]')
  [[ $registry =~ ^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$ ]] ||
    fail "Wrong input" "'registry' is '$INPUT_REGISTRY'; it is a host such as registry.example.com."
  username=$INPUT_USERNAME
  [[ -n $username && $username != *:* ]] ||
    fail "Wrong input" "'username' is '$username'; it is the name of a provider of the policy."
  audience=${INPUT_AUDIENCE:-https://$registry}
  case $INPUT_MODE in login | helper) ;; *)
    fail "Wrong input" "'mode' is '$INPUT_MODE'; it is login or helper."
    ;;
  esac
  case $INPUT_LOGOUT in true | false) ;; *)
    fail "Wrong input" "'logout' is '$INPUT_LOGOUT'; it is true or false."
    ;;
  esac
  folder=${INPUT_DOCKER_CONFIG:-${DOCKER_CONFIG:-$HOME/.docker}}
  outside_checkout "$folder" || fail "Wrong input" \
    "The folder of docker's config.json is '$folder'; it must be an absolute path outside the checkout." \
    "Clients run the credential helpers that config.json names, and the checkout could choose them." \
    "Write 'docker-config: \${{ runner.temp }}/docker'."
}

# docker, oras, crane and helm read DOCKER_CONFIG; podman, buildah and skopeo read REGISTRY_AUTH_FILE.
tell_later_steps() {
  if [[ -n $INPUT_DOCKER_CONFIG ]]; then
    printf 'DOCKER_CONFIG=%s\n' "$folder" >>"$GITHUB_ENV"
  fi
  if [[ $folder != "$HOME/.docker" ]]; then
    printf 'REGISTRY_AUTH_FILE=%s\n' "$folder/config.json" >>"$GITHUB_ENV"
  fi
}

read_inputs
printf 'registry=%s\n' "$registry" >>"$GITHUB_OUTPUT"
client=$(find_client) || fail "No client" "None of $CLIENTS is on this runner."
if [[ $INPUT_LOGOUT == true ]]; then
  log_out
  exit
fi
get_id_token
mkdir -p "$folder"
if [[ $INPUT_MODE == helper ]]; then
  install_helper
fi
log_in
tell_later_steps
if [[ -n $INPUT_DIAGNOSE ]]; then
  diagnose
fi
