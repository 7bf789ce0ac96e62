#!/usr/bin/env bash
# on_arm.sh BUNDLE SUITE CPU [EVERY]: a bundle for Raspberry Pis, unpacked and installed without a network in an emulated
# Debian, asked with `doctor`, and its samples read there: each, or one of EVERY. It fails if a text is another than here.
#
#     tests/bundle/on_arm.sh dist/edge-crnn-0.3.0-raspberry-pi.tar bookworm cortex-a72 10
#
# PYTHON is one that has edge-crnn, to read with here. On a quiet core a sample takes about 2 seconds, an installation 2
# minutes. Confidences may differ in the last places, since the recurrent layers are not integers alone.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '2,9s/^# \?//p' "$0" >&2; exit 2; }
here=$(dirname "$(realpath "$0")") bundle=$(realpath "$1") suite=$2 cpu=$3 every=${4:-1}
python=${PYTHON:-python3}
cache=${EDGE_CRNN_ARM_CACHE:-$here/../../build/arm}
mkdir -p "$cache"
cache=$(realpath "$cache")
root=$cache/$suite-bundle
"$here/../arm/root.sh" "$suite" "$root" bash coreutils findutils grep sed
folder=$(mktemp -d "$cache/bundle-XXXXXX")
trap 'rm -rf "$folder" "$root$folder"' EXIT
tar -xf "$bundle" -C "$folder" --strip-components=1
cd "$folder"
board=("$here/../arm/run" "$root" "$cpu" OPENBLAS_NUM_THREADS=1) # emulated, its threads never come to rest

"${board[@]}" ./install.sh --venv env
"${board[@]}" env/bin/edge-crnn doctor
find samples/plates -name '*.jpg' | sort | awk "NR % $every == 0" > names
echo "$(wc -l < names) samples"
xargs "${board[@]}" env/bin/edge-crnn read --workers 1 < names > there.tsv
xargs "$python" -m edge_crnn read --workers 1 < names > here.tsv
diff <(cut -f 1,2 here.tsv) <(cut -f 1,2 there.tsv) || { echo "on_arm.sh: texts differ" >&2; exit 1; }
echo "all texts are those that are read here; confidences differ in $(diff here.tsv there.tsv | grep -c '^<' || true)"
