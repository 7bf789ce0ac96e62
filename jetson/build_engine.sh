#!/usr/bin/env bash
# Builds a TensorRT engine from the .onnx of `edge-crnn convert --to tensorrt`, on the Jetson that will run it, and checks with
# `edge-crnn doctor` that it reads. Nobody has run it on a Jetson yet.
#
#   jetson/build_engine.sh plates.onnx [plates.engine] [--batches MIN OPT MAX] [--log FILE] …
#
# Takes the options of `edge-crnn build-engine --help`, too. TensorRT chooses kernels by timing them, so run nothing else
# meanwhile. PYTHON is the Python to use; the default is that of install.sh.
set -euo pipefail

readonly PYTHON="${PYTHON:-/opt/edge-crnn/bin/python}"

case "${1:---help}" in
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
esac
onnx="$1" engine="${1%.onnx}.engine"
shift
if [[ "${1:-}" = *.engine ]]; then
    engine="$1"
    shift
fi
[[ -x "$PYTHON" ]] || { echo "build_engine.sh: no $PYTHON; run jetson/install.sh, or name another PYTHON" >&2; exit 1; }
if command -v nvpmodel > /dev/null; then
    nvpmodel -q 2> /dev/null || true  # record the power mode of the build in the log
fi
"$PYTHON" -m edge_crnn build-engine "$onnx" -o "$engine" --timing-cache "${engine%.engine}.timings" "$@"
exec "$PYTHON" -m edge_crnn doctor "$engine"
