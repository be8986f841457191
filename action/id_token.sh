# The job's ID token; sourced by registry.sh, which sets the variables.
# Source: GitHub Docs, "OpenID Connect reference", "Methods for requesting the OIDC token".
# shellcheck shell=bash disable=SC2154

# get_id_token: set `token`, for `audience`.  Neither it nor the key to get it is an argument of a
# program, where every user of the machine could read it.
get_id_token() {
  local answer
  if [[ -z ${ACTIONS_ID_TOKEN_REQUEST_URL:-} || -z ${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-} ]]; then
    fail "No permission to get an ID token" \
      "Add these two lines to the job:" \
      "permissions:" \
      "  id-token: write" \
      "A job with 'permissions' has no others: to check out a private repository, add 'contents: read'." \
      "A pull request from a fork never gets an ID token."
  fi
  mask "$ACTIONS_ID_TOKEN_REQUEST_TOKEN"
  answer=$(printf 'Authorization: bearer %s\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
    curl --silent --show-error --fail --max-time 20 --retry 2 --retry-delay 1 --retry-connrefused \
      --header @- --get --data-urlencode "audience=$audience" "$ACTIONS_ID_TOKEN_REQUEST_URL") ||
    fail "No ID token" "GitHub did not give an ID token for $audience; curl says why above." \
      "When githubstatus.com shows no trouble, run the job again."
  token=$(printf '%s' "$answer" | tr -d '\n' | sed -n \
    's/.*"value"[[:space:]]*:[[:space:]]*"\([A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\)".*/\1/p')
  [[ -n $token ]] || fail "No ID token" "GitHub's answer for $audience holds no token."
  mask "$token"
  # What config.json would show of it.
  mask "$(printf '%s:%s' "$username" "$token" | base64 | tr -d '\n')"
}
