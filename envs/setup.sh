#!/bin/sh
# Sets up the environment in a folder of its own: uv first (by pip, hash-pinned), then every package of the lock.
# Usage: envs/setup.sh FOLDER [PYTHON]
set -eu
venv=$1
shift

fail() {
    echo "error: $1" >&2
    exit 2
}

# A name on PATH can be a placeholder that only prints an error (pyenv), and Debian splits off what makes a venv.
works() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1
}

python=
for name in ${*:-python3 python3.12 python3.11 python3.13}; do
    if works "$name"; then
        python=$name
        break
    fi
done
[ -n "$python" ] ||
    fail "none of '${*:-python3 python3.12 python3.11 python3.13}' is a Python 3.11 to 3.13 that can make a virtual environment (on Debian: package python3-venv); name one: make PYTHON=/path/to/python3.12 env."
mkdir -p "$venv" 2>/dev/null && [ -w "$venv" ] || fail "$venv cannot be written; make the checkout writable."

echo "Setting up $venv with $("$python" -V): about 6 GB, one to three minutes."
rm -f "$venv/.ready"
"$python" -m venv --clear "$venv" ||
    fail "$python could not make a virtual environment in $venv."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r envs/bootstrap.lock ||
    fail "uv could not be installed; is the package index within reach?"
# uv brings its own certificates; behind a company's proxy only the system's are right.
# Bytecode is compiled once, here: where Python may not write it later, every start of a job would compile 7 s of it anew.
sync="$venv/bin/uv pip sync --python $venv/bin/python --require-hashes --compile-bytecode envs/requirements.lock"
$sync || $sync --system-certs ||
    fail "the packages of envs/requirements.lock could not be installed; the lines above say which, then run make env again."
"$venv/bin/uv" pip install --python "$venv/bin/python" --quiet --no-deps --no-build-isolation --editable .
"$venv/bin/mindthegap" --version
sha256sum envs/requirements.lock >"$venv/.ready"
