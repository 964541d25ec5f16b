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

# The conda recipe repeats the pins, for sites that deploy by "snakemake --software-deployment-method conda".
{
    echo "# Made by make lock from requirements.lock. The list is complete, so pip must not add to it (mmdet asks for an"
    echo "# OpenCV that needs system libraries): PIP_NO_DEPS=1 snakemake --software-deployment-method conda ..."
    printf 'channels:\n  - conda-forge\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n'
    sed -nE 's/^([A-Za-z0-9._-]+==[^\\]*[^ \\]) *\\$/      - "\1"/p' envs/requirements.lock
} >envs/mindthegap.yaml
