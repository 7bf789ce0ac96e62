#!/usr/bin/env bash
# site.sh ROOT NAME REQUIREMENT…: what pip would install in an aarch64 root that root.sh made, in its folder /opt/NAME.
#
# pip runs here (as PYTHON -m pip, with this machine's settings) and picks the wheels that fit there. What is there
# already, for the same requirements, is kept. Exit status 69: pip cannot get it; stderr says why.
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
# --ignore-requires-python: pip 23 takes this machine's Python for that one's. The wheels' tags are still looked at.
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile \
    --ignore-requires-python --only-binary=:all: "${platforms[@]}" "--python-version=${python[0]##*/python}" \
    --target "$site.new" "$@" >&2 || { echo "site.sh: pip cannot get $*" >&2; exit 69; }
echo "$*" > "$site.new/.requirements"
mv "$site.new" "$site"
