#!/bin/sh
# Sets up the environment in a folder of its own: uv first (by pip, hash-pinned), then every package of the lock.
# Usage: envs/setup.sh PYTHON FOLDER
set -eu
python=$1
venv=$2

fail() {
    echo "error: $1" >&2
    exit 2
}

[ -n "$python" ] || fail "no Python found; install Python 3.11 or 3.12, or name one: make PYTHON=/path/to/python3.12 env."
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' ||
    fail "$python is $("$python" -V 2>&1), but 3.11 to 3.13 is needed; name one: make PYTHON=/path/to/python3.12 env."
mkdir -p "$venv" 2>/dev/null && [ -w "$venv" ] || fail "$venv cannot be written; make the checkout writable."

echo "Setting up $venv with $("$python" -V): about 6 GB, one to three minutes."
rm -f "$venv/.ready"
"$python" -m venv --clear "$venv" ||
    fail "$python cannot make a virtual environment; on Debian its package python3-venv is missing, or name another Python."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r envs/bootstrap.lock ||
    fail "uv could not be installed; is the package index within reach?"
# uv brings its own certificates; behind a company's proxy only the system's are right.
sync="$venv/bin/uv pip sync --python $venv/bin/python --require-hashes envs/requirements.lock"
$sync || $sync --system-certs ||
    fail "the packages of envs/requirements.lock could not be installed; the lines above say which, then run make env again."
"$venv/bin/uv" pip install --python "$venv/bin/python" --quiet --no-deps --no-build-isolation --editable .
sha256sum envs/requirements.lock >"$venv/.ready"
