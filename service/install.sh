#!/usr/bin/env bash
# Installs edge-crnn and its services on Raspberry Pi OS (64-bit) or a Jetson with JetPack 6 or later. Run it again to
# update: what is there is replaced, readings and /etc/edge-crnn stay.
#
#   sudo service/install.sh [--board raspberry-pi|jetson|none] [--wheels DIR] [SOURCE]
#   service/install.sh --venv DIR [--board …] [--wheels DIR] [SOURCE]
#
# SOURCE is a checkout or a wheel; without one, the checkout that this file is in. --wheels installs from a folder of
# wheels alone, without a network. --venv makes an environment there and nothing else, for which nobody needs to be root.
# With DESTDIR set, as the root of an image, files go below it, the board is the one that they tell of, and neither users
# nor services are touched.
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly HERE
readonly DESTDIR="${DESTDIR:-}"
readonly UNITS="$DESTDIR/etc/systemd/system"
readonly PYTHON="${PYTHON:-/usr/bin/python3}"  # the system's: TensorRT's module is for that one

say() { echo "install.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

board_here() {
    local compatible="$DESTDIR/proc/device-tree/compatible"
    if [[ -e "$DESTDIR/etc/nv_tegra_release" ]] || grep -qsF nvidia,tegra "$compatible"; then
        echo jetson
    elif grep -qsF raspberrypi, "$compatible"; then
        echo raspberry-pi
    else
        echo none
    fi
}

board="$(board_here)" source="$(dirname "$HERE")" environment="$DESTDIR/opt/edge-crnn" alone=no wheels=()
while (($#)); do
    case "$1" in
        --board) board="${2:?--board needs raspberry-pi, jetson or none}"; shift 2 ;;
        --wheels) wheels=(--no-index --find-links "${2:?--wheels needs a folder}"); shift 2 ;;
        --venv) environment="${2:?--venv needs a folder}" alone=yes; shift 2 ;;
        -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
        -*) fail "no option $1; see --help" ;;
        *) source="$1"; shift ;;
    esac
done

case "$board" in
    raspberry-pi) extra=pi venv=() ;;
    jetson) extra=jetson venv=(--system-site-packages) ;;
    none) extra=pi venv=() ;;
    *) fail "no board $board; one of raspberry-pi, jetson, none" ;;
esac
[[ -n "$DESTDIR" || "$alone" = yes || $EUID -eq 0 ]] || fail "needs root; sudo $0, or --venv DIR"
[[ -e "$source" ]] || fail "$source is not there; name a checkout or a wheel"
say "board: $board; into $environment"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10) or sys.maxsize < 2**32)' ||
    fail "$PYTHON is not a 64-bit Python 3.10 or later; install 64-bit Raspberry Pi OS (bookworm or later), or JetPack 6"

# Of a folder of wheels, pip may be one: then a system without python3-venv will do.
pip=(-m pip)
if [[ ${#wheels[@]} -gt 0 && -n "$(find "${wheels[2]}" -maxdepth 1 -name 'pip-*.whl')" ]]; then
    venv+=(--without-pip) pip=("$(echo "${wheels[2]}"/pip-*.whl)/pip")
else
    "$PYTHON" -c 'import ensurepip, venv' 2> /dev/null || fail "no venv; apt install python3-venv"
fi
hint="see above"
if [[ "$board" = jetson ]]; then
    export PATH="/usr/local/cuda/bin:$PATH" CUDA_ROOT=/usr/local/cuda
    hint="pycuda is compiled here, which takes build-essential, python3-dev and CUDA; --board none does without the GPU"
fi
"$PYTHON" -m venv "${venv[@]}" "$environment"
"$environment/bin/python" "${pip[@]}" install --disable-pip-version-check --quiet --upgrade "${wheels[@]}" \
    "${source}[$extra,watch]" || fail "pip did not install it: $hint"

doctor() { "$environment/bin/edge-crnn" doctor || say "installed, but it does not read here yet: see above"; }
if [[ "$alone" = yes ]]; then
    doctor
    say "done; $environment/bin/edge-crnn --help"
    exit
fi

for unit in edge-crnn@.service edge-crnn-watch@.service; do
    install -D -m 644 "$HERE/$unit" "$UNITS/$unit"
done
rm -f "$UNITS/edge-crnn@.service.d/50-board.conf"
if [[ "$board" != none ]]; then
    install -D -m 644 "$HERE/../$board/edge-crnn.conf" "$UNITS/edge-crnn@.service.d/50-board.conf"
fi
install -d -m 755 "$DESTDIR/etc/edge-crnn" "$DESTDIR/etc/edge-crnn/watch" "$DESTDIR/usr/local/bin"
ln -sfn /opt/edge-crnn/bin/edge-crnn "$DESTDIR/usr/local/bin/edge-crnn"

if [[ -z "$DESTDIR" ]]; then
    id -u edge-crnn > /dev/null 2>&1 ||
        useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin edge-crnn
    systemctl daemon-reload
    # Instances that run take the new version; those that do not stay as they are.
    systemctl try-restart 'edge-crnn@*.service' 'edge-crnn-watch@*.service'
    if grep -qs cgroup_disable=memory /proc/cmdline; then
        say "memory is not limited here: add cgroup_enable=memory to /boot/firmware/cmdline.txt and reboot"
    fi
    doctor
fi
say "done; sudo systemctl enable --now edge-crnn@\$(systemd-escape --path /srv/plates)  # reads /srv/plates"
say "or, with /etc/edge-crnn/watch/gate.toml: sudo systemctl enable --now edge-crnn-watch@gate  # watches a camera"
