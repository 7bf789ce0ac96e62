#!/usr/bin/env bash
# Builds a TensorRT engine, on the Jetson that is to run it, of the .onnx that `edge-crnn convert --to tensorrt` has made,
# which has its types and its spec inside; then asks `edge-crnn doctor` whether it reads. Nobody has run it on a Jetson yet.
#
#   jetson/build_engine.sh plates.onnx [plates.engine] [--batches MIN OPT MAX] [--log FILE] …
#
# Other options are those of `edge-crnn build-engine --help`. TensorRT chooses by measuring: let nothing
# else run. The environment is that of PYTHON, else the one that install.sh has made.
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
    nvpmodel -q 2> /dev/null || true  # the mode it is built in, for whoever reads this later
fi
"$PYTHON" -m edge_crnn build-engine "$onnx" -o "$engine" --timing-cache "${engine%.engine}.timings" "$@"
exec "$PYTHON" -m edge_crnn doctor "$engine"
