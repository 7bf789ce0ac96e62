#!/usr/bin/env bash
# site.sh ROOT NAME REQUIREMENT…: install packages in /opt/NAME of an aarch64 root that root.sh made.
#
# pip runs on this machine (as PYTHON -m pip, with its settings) and picks the wheels for the root. A folder with the
# same requirements is kept. Exit status 69: pip cannot download them; stderr has the reason.
set -euo pipefail

[ $# -ge 3 ] || { sed -n '2s/^# \?//p' "$0" >&2; exit 2; }
root=$(realpath "$1") name=$2
shift 2
site=$root/opt/$name
mkdir -p "$root/opt"
exec 9> "$site.lock"
flock 9
[ "$(cat "$site/.requirements" 2> /dev/null)" != "$*" ] || exit 0

python=("$root"/usr/bin/python3.*)
glibc=$(grep -aom 1 'stable release version 2\.[0-9]*' "$root/usr/lib/aarch64-linux-gnu/libc.so.6")
platforms=()
for ((minor = 17; minor <= ${glibc##*.}; minor++)); do platforms+=("--platform=manylinux_2_${minor}_aarch64"); done
rm -rf "$site" "$site.new"
# --ignore-requires-python: pip 23 checks this machine's Python instead of the root's. The tags of wheels still count.
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile \
    --ignore-requires-python --only-binary=:all: "${platforms[@]}" "--python-version=${python[0]##*/python}" \
    --target "$site.new" "$@" >&2 || { echo "site.sh: pip cannot get $*" >&2; exit 69; }
echo "$*" > "$site.new/.requirements"
mv "$site.new" "$site"
