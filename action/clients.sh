# The clients of registries, which all keep logins in docker's config.json; sourced by registry.sh, which sets the variables.
# shellcheck shell=bash disable=SC2154

CLIENTS="docker podman buildah skopeo oras crane helm"

# find_client: print the first client that this runner has.
find_client() {
  local name
  for name in $CLIENTS; do
    if command -v "$name" >/dev/null 2>&1; then
      printf '%s\n' "$name"
      return
    fi
  done
  return 1
}

# log_in: log in to `registry` as `username` with `token`, in `folder`.
log_in() {
  local file=$folder/config.json
  case $client in
    docker) set -- docker --config "$folder" login ;;
    podman | buildah | skopeo) set -- "$client" login --authfile "$file" ;;
    oras) set -- oras login --registry-config "$file" ;;
    crane) set -- env DOCKER_CONFIG="$folder" crane auth login ;;
    helm) set -- helm registry login --registry-config "$file" ;;
  esac
  printf '%s\n' "$token" | "$@" --username "$username" --password-stdin "$registry" || {
    explain || true
    fail "Login refused" \
      "$registry did not let $client log in; it says why above, and so do the job's summary and the token server's log." \
      "The user name was '$username': a provider's name in the registry's policy." \
      "The ID token was for '$audience': that provider's audience."
  }
}

# log_out: forget the login at `registry` in `folder`; what there is not is no error.
log_out() {
  local file=$folder/config.json
  if [[ ! -f $file ]]; then
    printf 'There is no %s, so nobody is logged in.\n' "$file"
    return
  fi
  if uses_helper "$file"; then
    remove_helper
  fi
  case $client in
    docker) docker --config "$folder" logout "$registry" ;;
    podman | buildah | skopeo) "$client" logout --authfile "$file" "$registry" ;;
    oras) oras logout --registry-config "$file" "$registry" ;;
    crane) DOCKER_CONFIG="$folder" crane auth logout "$registry" ;;
    helm) helm registry logout --registry-config "$file" "$registry" ;;
  esac || printf '::warning::%s\n' "$client could not log out of $registry."
}
