#!/usr/bin/env bash
# Installs edge-crnn from this folder alone, without a network.
#
#   sudo ./install.sh            with its service, for the whole machine
#   ./install.sh --venv DIR      into an environment of your own
#
# Takes the options of service/install.sh, too, which does the work. First checks that no file has changed since it was packed, and
# that the bundle is for this machine.
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly HERE
export PYTHON="${PYTHON:-/usr/bin/python3}"

fail() { echo "install.sh: $*" >&2; exit 1; }

case " $* " in
    *" -h "* | *" --help "*) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
esac
(cd "$HERE" && sha256sum --check --quiet --strict SHA256SUMS >&2) ||
    fail "a file has changed since it was packed; copy the bundle here again, and unpack it into a new folder"
# shellcheck source=/dev/null
. "$HERE/bundle.conf"
found="$("$PYTHON" -c 'import platform, sys
bits = "" if sys.maxsize > 2**32 else " (32-bit)"
print("%s%s %d.%d" % (platform.machine(), bits, *sys.version_info[:2]))')" || fail "$PYTHON does not run"
# shellcheck disable=SC2154 # bundle.conf sets them
[[ "${found% *}" = "$machine" && " $pythons " = *" ${found##* } "* ]] ||
    fail "this bundle is for $meant_for; found ${found% *} with Python ${found##* }; use the bundle for this machine"

exec "$HERE/${board:?}/install.sh" --wheels "$HERE/wheels" "$@" "$HERE"/wheels/edge_crnn-*.whl
