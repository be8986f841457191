# Why the token server refuses the job something; sourced by registry.sh, which sets the variables.
#
# docker-credential-regauth asks it, at the action's own ref, with the job's own token.
# shellcheck shell=bash disable=SC2154

# explain [REPOSITORY [ACTION]]: write what the token server says into the log and the job's summary.  Returns 2 when it
# refuses, and 1 when there is no answer.
explain() {
  local python place answer code=0
  if ! python=$(find_python); then
    printf '::warning::%s\n' "Python 3.11 or later is needed to ask why."
    return 1
  fi
  place=$RUNNER_TEMP/regauth-why.$$
  mkdir "$place"
  ln -s "$(cd "$here/.." && pwd -P)" "$place/regauth"
  printf '{"registries": {"%s": {"username": "%s", "source": {"environment": {"variable": "REGAUTH_JOB_TOKEN"}}}}}\n' \
    "$registry" "$username" >"$place/helper.json"
  # The token is in the environment of this one program, and never an argument.
  answer=$(REGAUTH_JOB_TOKEN=$token REGAUTH_CREDENTIAL_HELPER_CONFIG=$place/helper.json \
    "$python" -I -S "$here/credential_helper.py" "$place" why "$registry${1:+/$1}" ${2:+"$2"}) || code=$?
  rm -rf "$place"
  # Indented, because a claim can hold any character of Markdown.
  {
    case $code in
      0) printf '### Registry access: allowed\n\n' ;;
      2) printf '### Registry access: refused\n\n' ;;
      *) printf '### Registry access: not known\n\n' ;;
    esac
    printf '%s\n' "$answer" | sed 's/^/    /'
    printf '\n'
  } >>"${GITHUB_STEP_SUMMARY:-/dev/null}"
  printf '%s\n' "$answer" | sed 's/^::/ ::/'
  return "$code"
}

# diagnose: ask for the access that the input names, and end the step when the job does not get it.
diagnose() {
  local repository action rest
  read -r repository action rest <<<"$INPUT_DIAGNOSE"
  [[ -z $rest && ${action:-pull} =~ ^(pull|push|delete)$ ]] ||
    fail "Wrong input" "'diagnose' is '$INPUT_DIAGNOSE'; it is a repository and pull, push or delete: acme/app push"
  explain "$repository" "${action:-pull}" && return
  case $? in
    2) fail "No access" "This job may not ${action:-pull} $repository at $registry; the job's summary says why." ;;
    *) printf '::warning::%s\n' "The token server at $registry does not say why; the log above has the cause." ;;
  esac
}
