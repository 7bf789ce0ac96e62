#!/usr/bin/env bash
# root.sh SUITE DIR [PACKAGE…]: make an aarch64 Debian in DIR, with Python and the QEMU that runs it; see `run`.
#
#     tests/arm/root.sh bookworm build/arm/bookworm
#     tests/arm/run build/arm/bookworm cortex-a72 python3 --version
#
# Debian bookworm and trixie stand for the two releases of Raspberry Pi OS that are built on them. A root with the same
# packages is kept. Exit status 69: this machine cannot make it; stderr has the reason.
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,5s/^# \?//p' "$0" >&2; exit 2; }
suite=$1 here=$(dirname "$0")
mkdir -p "$(dirname "$2")"
dir=$(realpath "$2")
new=$dir.new qemu=$dir.qemu
shift 2
packages=(python3 libstdc++6 zlib1g libgomp1 "$@")

lacks() { echo "root.sh: $*" >&2; exit 69; }

exec 9> "$dir.lock"
flock 9
[ "$(cat "$dir/.packages" 2> /dev/null)" != "$suite: ${packages[*]}" ] || exit 0

[ "$(uname -sm)" = "Linux x86_64" ] || lacks "it takes Linux on x86-64"
unshare --user --map-root-user --mount mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2> /dev/null ||
    lacks "it takes Linux 6.7 or newer with user namespaces, each of which may have its own binfmt_misc"

rm -rf "$new" "$qemu"
"$here/unpack.sh" arm64 "$suite" "$new" "${packages[@]}"
mkdir -p "$new"/{etc,tmp,proc,sys,dev,root,opt}
# QEMU of Debian 12 shows the host's /proc/cpuinfo, with which LiteRT crashes. QEMU 10 and later show that of the board.
"$here/unpack.sh" amd64 bookworm-backports "$qemu" qemu-user
mv "$qemu/usr/bin/qemu-aarch64" "$new/.qemu-aarch64"
echo "$suite: ${packages[*]}" > "$new/.packages"
rm -rf "$dir" "$qemu"
mv "$new" "$dir"
