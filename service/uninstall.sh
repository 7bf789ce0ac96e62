#!/usr/bin/env bash
# Removes what install.sh has put on this machine; with --purge also readings, engines, settings and the user.
#
#   sudo service/uninstall.sh [--purge]
set -euo pipefail

readonly DESTDIR="${DESTDIR:-}"
purge=no
case "${1:-}" in
    "") ;;
    --purge) purge=yes ;;
    *) echo "usage: uninstall.sh [--purge]" >&2; exit 2 ;;
esac
if [[ -z "$DESTDIR" ]]; then
    [[ $EUID -eq 0 ]] || { echo "uninstall.sh: needs root; sudo $0" >&2; exit 1; }
    systemctl stop 'edge-crnn@*.service' 'edge-crnn-watch@*.service'
    rm -f /etc/systemd/system/multi-user.target.wants/edge-crnn{,-watch}@*.service
fi

rm -rf "$DESTDIR/opt/edge-crnn" "$DESTDIR/etc/systemd/system/edge-crnn@.service.d/50-board.conf"
rm -f "$DESTDIR/etc/systemd/system/edge-crnn@.service" "$DESTDIR/etc/systemd/system/edge-crnn-watch@.service"
rmdir "$DESTDIR/etc/systemd/system/edge-crnn@.service.d" 2> /dev/null || true  # others' drop-ins stay
if [[ "$(readlink "$DESTDIR/usr/local/bin/edge-crnn" || true)" = /opt/edge-crnn/bin/edge-crnn ]]; then
    rm -f "$DESTDIR/usr/local/bin/edge-crnn"
fi
if [[ "$purge" = yes ]]; then
    rm -rf "$DESTDIR/var/lib/edge-crnn" "$DESTDIR/var/cache/edge-crnn" "$DESTDIR/etc/edge-crnn"
fi
if [[ -z "$DESTDIR" ]]; then
    systemctl daemon-reload
    [[ "$purge" = no ]] || userdel edge-crnn 2> /dev/null || true  # gone already
fi
echo "uninstall.sh: done" >&2
