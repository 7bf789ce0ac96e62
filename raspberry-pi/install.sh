#!/usr/bin/env bash
# Installs edge-crnn and its service on a Raspberry Pi: what that takes of Raspberry Pi OS, then service/install.sh,
# whose options it takes.
#
#   sudo raspberry-pi/install.sh
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# A folder of wheels is for boards without a network, and brings a pip that makes do without python3-venv.
if [[ -z "${DESTDIR:-}" && " $* " != *" --wheels "* && $EUID -eq 0 ]] &&
    ! "${PYTHON:-/usr/bin/python3}" -c 'import ensurepip' 2> /dev/null; then
    apt-get update
    apt-get install -y python3-venv
fi
exec "$HERE/../service/install.sh" --board raspberry-pi "$@"
