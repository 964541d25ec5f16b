#!/bin/sh
# Regenerates the hash-pinned locks from pyproject.toml. Usage: envs/lock.sh UV
# Versions already in the lock stay unless pyproject.toml excludes them; UPGRADE=1 takes the newest.
set -eu
uv=$1
here=$(dirname "$0")
cd "$here/.."
flags="--quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command make\ lock"
[ -z "${UPGRADE:-}" ] || flags="$flags --upgrade"
eval "$uv pip compile pyproject.toml --all-extras --override envs/overrides.txt -o envs/requirements.lock $flags"
grep -E '^uv==' envs/requirements.lock | sed 's/ .*//' | eval "$uv pip compile - -o envs/bootstrap.lock $flags"
