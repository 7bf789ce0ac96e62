#!/usr/bin/env bash
# root.sh SUITE DIR [PACKAGE…]: an aarch64 Debian in DIR, with Python, and QEMU to run it with; see `run` beside this.
#
#     tests/arm/root.sh bookworm build/arm/bookworm
#     tests/arm/run build/arm/bookworm cortex-a72 python3 --version
#
# Debian's bookworm and trixie stand for the two Raspberry Pi OS that are built on them. Packages are unpacked, and none
# of their scripts is run. They come from the mirror from which this machine has its own, or EDGE_CRNN_DEBIAN_MIRROR.
# What is there already, of the same packages, is kept. Exit status 69: it cannot be had on this machine; stderr says why.
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,5s/^# \?//p' "$0" >&2; exit 2; }
suite=$1 wanted="python3 libstdc++6 zlib1g libgomp1 ${*:3}"
mkdir -p "$(dirname "$2")"
dir=$(realpath "$2")
new=$dir.new apt=$dir.new/.apt

lacks() { echo "root.sh: $*" >&2; exit 69; }

exec 9> "$dir.lock"
flock 9
[ "$(cat "$dir/.packages" 2> /dev/null)" != "$suite: $wanted" ] || exit 0

[ "$(uname -sm)" = "Linux x86_64" ] || lacks "it takes Linux on x86-64"
for tool in apt-get dpkg-deb unshare; do
    command -v $tool > /dev/null || lacks "it takes $tool, which is not installed"
done
unshare --user --map-root-user --mount mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2> /dev/null ||
    lacks "it takes Linux 6.7 or newer with user namespaces, each of which may have its own binfmt_misc"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keys ] || lacks "it takes Debian's keys in $keys, of the package debian-archive-keyring"
# shellcheck disable=SC2016 # for apt-get to expand
mirrors=$(apt-get indextargets --format '$(SITE) $(RELEASE)' | sed -nE 's/ (bookworm|trixie)$//p')
mirror=${EDGE_CRNN_DEBIAN_MIRROR:-${mirrors%%$'\n'*}}
[ -n "$mirror" ] || lacks "apt knows no mirror of Debian here; name one in EDGE_CRNN_DEBIAN_MIRROR"

# fetch ARCHITECTURE SUITE PACKAGE…: into $apt/ARCHITECTURE/archives, with a state of its own and this machine's settings.
fetch() {
    local state=$apt/$1
    mkdir -p "$state/lists/partial" "$state/archives/partial"
    touch "$state/status"
    echo "deb [arch=$1 signed-by=$keys] $mirror $2 main" > "$state/sources.list"
    cat > "$state/apt.conf" << END
APT::Architecture "$1"; APT::Architectures { "$1"; }; APT::Install-Recommends "false"; APT::Sandbox::User "";
Dir::Etc::SourceList "$state/sources.list"; Dir::Etc::SourceParts "/dev/null"; Dir::State::Lists "$state/lists";
Dir::State::Status "$state/status"; Dir::Cache "$state"; Debug::NoLocking "true"; Acquire::Languages "none";
END
    APT_CONFIG=$state/apt.conf apt-get -qq update >&2 || lacks "Debian's $2 for $1 cannot be had"
    (shift 2; APT_CONFIG=$state/apt.conf apt-get -qq -y --download-only install "$@" > /dev/null) ||
        lacks "the packages ${*:3} cannot be had"
}

rm -rf "$new"
mkdir -p "$new"/{usr/{bin,lib,sbin},etc,tmp,proc,sys,dev,root}
for each in bin lib sbin; do ln -s usr/$each "$new/$each"; done
read -ra words <<< "$wanted"
fetch arm64 "$suite" "${words[@]}"
for deb in "$apt"/arm64/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" |
        tar -x --keep-directory-symlink --exclude './usr/share/doc/*' --exclude './usr/share/man/*' -C "$new"
done
# Debian 12's own QEMU shows the host's /proc/cpuinfo, on which LiteRT crashes; from version 10 on it makes up the board's.
mkdir -p "$apt/amd64/archives"
fetch amd64 bookworm-backports qemu-user
dpkg-deb --fsys-tarfile "$apt"/amd64/archives/qemu-user_*.deb |
    tar -xO ./usr/bin/qemu-aarch64 > "$new/.qemu-aarch64"
chmod +x "$new/.qemu-aarch64"
rm -r "$apt"
echo "$suite: $wanted" > "$new/.packages"
rm -rf "$dir"
mv "$new" "$dir"
