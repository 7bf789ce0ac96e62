#!/usr/bin/env bash
# unpack.sh ARCHITECTURE SUITE DIR PACKAGE…: unpack Debian packages and their dependencies into DIR.
#
# It runs none of their scripts, and installs nothing on this machine. The packages come from this machine's mirror, or
# from EDGE_CRNN_DEBIAN_MIRROR. Exit status 69: they cannot be downloaded; stderr has the reason.
set -euo pipefail

[ $# -ge 4 ] || { sed -n '2s/^# \?//p' "$0" >&2; exit 2; }
architecture=$1 suite=$2
mkdir -p "$3"
dir=$(realpath "$3")
apt=$dir.apt
shift 3

lacks() { echo "unpack.sh: $*" >&2; exit 69; }

for tool in apt-get dpkg-deb; do
    command -v $tool > /dev/null || lacks "it takes $tool, which is not installed"
done
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keys ] || lacks "it takes Debian's keys in $keys, of the package debian-archive-keyring"
# shellcheck disable=SC2016 # for apt-get to expand
mirrors=$(apt-get indextargets --format '$(SITE) $(RELEASE)' | sed -nE 's/ (bookworm|trixie)$//p')
mirror=${EDGE_CRNN_DEBIAN_MIRROR:-${mirrors%%$'\n'*}}
[ -n "$mirror" ] || lacks "apt knows no mirror of Debian here; name one in EDGE_CRNN_DEBIAN_MIRROR"

# Use a separate state, with this machine's settings.
rm -rf "$apt"
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
touch "$apt/status"
echo "deb [arch=$architecture signed-by=$keys] $mirror $suite main" > "$apt/sources.list"
cat > "$apt/apt.conf" << END
APT::Architecture "$architecture"; APT::Architectures { "$architecture"; }; APT::Sandbox::User "";
APT::Install-Recommends "false"; Dir::Etc::SourceList "$apt/sources.list"; Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$apt/lists"; Dir::State::Status "$apt/status"; Dir::Cache "$apt"; Debug::NoLocking "true";
Acquire::Languages "none"; APT::Update::Error-Mode "any";
END
export APT_CONFIG=$apt/apt.conf
apt-get -qq update >&2 || lacks "Debian's $suite for $architecture cannot be had"
apt-get -qq -y --download-only install "$@" > /dev/null || lacks "the packages $* cannot be had"

mkdir -p "$dir"/usr/{bin,lib,lib64,sbin}
for each in bin lib lib64 sbin; do ln -sfn usr/$each "$dir/$each"; done
for deb in "$apt"/archives/*.deb; do # of QEMU, the targets whose names begin with an a are enough
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$dir" \
        --exclude './usr/share/doc/*' --exclude './usr/share/man/*' --exclude './usr/bin/qemu-[!a]*'
done
rm -r "$apt"
