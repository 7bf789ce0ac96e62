#!/usr/bin/env bash
# root.sh SUITE DIR [PACKAGE…]: an aarch64 Debian in DIR, with Python, and QEMU to run it with; see `run` beside this.
#
#     tests/arm/root.sh bookworm build/arm/bookworm
#     tests/arm/run build/arm/bookworm cortex-a72 python3 --version
#
# Debian's bookworm and trixie stand for the two Raspberry Pi OS that are built on them. What is there already, of the same
# packages, is kept. Exit status 69: it cannot be had on this machine; stderr says why.
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
# Debian 12's own QEMU shows the host's /proc/cpuinfo, on which LiteRT crashes; from version 10 on it makes up the board's.
"$here/unpack.sh" amd64 bookworm-backports "$qemu" qemu-user
mv "$qemu/usr/bin/qemu-aarch64" "$new/.qemu-aarch64"
echo "$suite: ${packages[*]}" > "$new/.packages"
rm -rf "$dir" "$qemu"
mv "$new" "$dir"
