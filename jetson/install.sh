#!/usr/bin/env bash
# Installs edge-crnn and its service on a Jetson with JetPack 6 or later: checks the JetPack, installs missing packages of it,
# and runs service/install.sh, whose options it takes. Nobody has run it on a Jetson yet.
#
#   sudo jetson/install.sh
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly HERE DESTDIR="${DESTDIR:-}" PYTHON="${PYTHON:-/usr/bin/python3}"

fail() { echo "install.sh: $*" >&2; exit 1; }

release="$(sed -nE 's/^# R([0-9]+) .*/\1/p' "$DESTDIR/etc/nv_tegra_release" 2> /dev/null || true)"
[[ -n "$release" ]] || fail "no /etc/nv_tegra_release: not a Jetson with JetPack; service/install.sh installs elsewhere"
((release >= 36)) || fail "Jetson Linux $release is older than JetPack 6, and its TensorRT needs a Python before 3.10, which" \
    "is too old; install JetPack 6 on an Orin; a Xavier does not support it"

if [[ -z "$DESTDIR" && " $* " != *" none "* ]]; then  # --board none: for the CPU, which needs none of these packages
    missing=() offline=no
    if [[ " $* " = *" --wheels "* ]]; then offline=yes; fi  # the wheels include pip
    [[ $offline = yes ]] || "$PYTHON" -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
    "$PYTHON" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2> /dev/null ||
        missing+=(python3-dev)
    command -v g++ > /dev/null || missing+=(build-essential)
    "$PYTHON" -c 'import tensorrt' 2> /dev/null || missing+=(python3-libnvinfer)
    [[ -e /usr/local/cuda/include/cuda.h ]] || missing+=(nvidia-jetpack)
    if ((${#missing[@]})); then
        [[ $offline = no && $EUID -eq 0 ]] ||
            fail "packages of JetPack are missing: sudo apt install ${missing[*]}; or use --board none, without the GPU"
        apt-get update
        apt-get install -y "${missing[@]}"
    fi
fi
exec "$HERE/../service/install.sh" --board jetson "$@"
