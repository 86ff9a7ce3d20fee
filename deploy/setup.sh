#!/bin/sh
# Makes the secrets of a deployment once, in one folder, readable by the service's user alone, and
# the list of Redis' users, which holds hashes only.
# Usage: setup.sh SECRETS_FOLDER USERS_FOLDER REDIS_HOST_AND_PORT
set -eu
umask 077
folder=$1 users=$2 redis=$3

random() {
  head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'
}

keep() {
  [ -s "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
}

mkdir -p "$folder"
keep key-encryption-key "kek_$(random)"
keep internal-credential "$(random)"
keep person-password "$(random)"
keep redis-auth-password "$(random)"
keep redis-gateway-password "$(random)"
auth=$(cat "$folder/redis-auth-password")
gateway=$(cat "$folder/redis-gateway-password")
printf 'redis://auth:%s@%s/0\n' "$auth" "$redis" >"$folder/redis-auth-url"
printf 'redis://gateway:%s@%s/0\n' "$gateway" "$redis" >"$folder/redis-gateway-url"

hash() {
  printf '%s' "$1" | sha256sum | cut -d ' ' -f 1
}

# Each service has its own keys and may not read the other's; neither may administer the server.
commands='+@all -@admin -@dangerous +info +role +config|get'
cat >"$users/users.acl" <<ACL
user default off
user auth on #$(hash "$auth") ~auth:* &* $commands
user gateway on #$(hash "$gateway") ~gateway:* &* $commands
ACL
chmod 0644 "$users/users.acl"
