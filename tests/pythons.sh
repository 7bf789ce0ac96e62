#!/usr/bin/env bash
# The runtime's tests on every supported Python but the one of `make test`, without TensorFlow: those that are
# installed here, as python3.X or under pyenv, side by side. The oldest one gets the oldest NumPy that is promised.
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

# Training is the workstation's part. What starts many processes or computes for long is seen on the oldest one alone.
training=(training cli/test_synth.py cli/test_train.py)
long=(test_calibration.py backends/tensorrt/test_cache.py backends/tensorrt/test_process.py
    bench/test_statistics.py bench/test_worker.py cli/test_bench.py cli/test_serve_folder.py doctor/test_isolated.py)

test_on() {
    local python=$1
    shift
    "$python" -m pytest -q -n auto --dist loadfile -p no:cacheprovider --hypothesis-profile brief \
        tests/edge_crnn tests/test_promises.py "${@/#/--ignore=tests/edge_crnn/}"
}

said=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; rm -rf "$said"' EXIT
declare -A running
for version in 3.10 3.12 3.13; do
    python=$(find_python "$version")
    if [ -z "$python" ]; then
        echo "Python $version is not installed: NOT TESTED"
        continue
    fi
    venv=.venv/python$version
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    numpy=numpy left_out=("${training[@]}" "${long[@]}")
    [ "$version" = 3.10 ] && numpy="numpy==1.24.*" left_out=("${training[@]}")
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[litert,opencv]' "$numpy" \
        build hypothesis pillow pytest pytest-xdist "setuptools>=77"
    test_on "$venv/bin/python" "${left_out[@]}" > "$said/$version" 2>&1 &
    running[$version]=$!
done
failed=0
for version in "${!running[@]}"; do
    wait "${running[$version]}" || failed=1
    echo "Python $version:"
    cat "$said/$version"
done
exit "$failed"
