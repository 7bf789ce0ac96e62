#!/usr/bin/env bash
# Test the runtime, without TensorFlow, on every supported Python except the one of `make test`. The Pythons are those
# installed here, as python3.X or under pyenv, and run side by side. The oldest gets the oldest NumPy that is supported.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# Training is the workstation's part. The tests marked thorough run on the oldest Python alone.
training=(training cli/test_synth.py cli/test_train.py)

test_on() {
    local python=$1 marks=$2
    "$python" -m pytest -q -n auto --dist loadfile -p no:cacheprovider --hypothesis-profile brief -m "$marks" \
        tests/edge_crnn tests/test_promises.py "${training[@]/#/--ignore=tests/edge_crnn/}"
}

output=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; rm -rf "$output"' EXIT
declare -A running
for version in 3.10 3.12 3.13; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "Python $version is not installed: NOT TESTED"
        continue
    fi
    venv=.venv/python$version
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    numpy=numpy marks="not slow and not thorough"
    [ "$version" = 3.10 ] && numpy="numpy==1.24.*" marks="not slow"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[litert,opencv,watch]' "$numpy" \
        build httpx hypothesis pillow pytest pytest-xdist "setuptools>=77"
    test_on "$venv/bin/python" "$marks" > "$output/$version" 2>&1 &
    running[$version]=$!
done
failed=0
for version in "${!running[@]}"; do
    wait "${running[$version]}" || failed=1
    echo "Python $version:"
    cat "$output/$version"
done
exit "$failed"
