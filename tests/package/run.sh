#!/bin/bash
# The Debian package's life in a system of its own (debootstrap): installed, run, upgraded with a changed configuration, removed, purged.
#
#   run.sh DEB NEWER_DEB      as root; `N passed, N failed, N skipped` at the end
#
# The bare system is made once and kept in $TRESTLE_CACHE.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
. "$TRESTLE_ROOT/tests/package/debian_root.sh"
deb="$1" newer="$2" passed=0 failed=0
[ "$(id -u)" = 0 ] || { echo "skipped: not root, so there is no chroot"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }

root="$(mktemp -d)"
daemon=
cleanup() {
  [ -z "$daemon" ] || { kill -KILL "$daemon"; wait "$daemon"; } 2>/dev/null
  remove_debian_root "$root"
}
trap cleanup EXIT

# case_ NAME COMMAND...: one case; its output is shown when it fails
case_() {
  local name="$1" out; shift
  if out="$("$@" 2>&1)"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  $name: $(tail -c 1500 <<<"$out")"; fi
}

install_() { # PACKAGE
  cp "$1" "$root/tmp/package.deb"
  chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends /tmp/package.deb
}

apt_remove() { chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" trestle; }

# The daemon as its service starts it, as far as that is possible without one: its user, its configuration, its directories.
serves() {
  local out="$root/tmp/out" tries
  chroot "$root" install -d -o trestle -g trestle -m 0750 /var/lib/trestle /var/cache/trestle
  : >"$out"
  chroot "$root" setpriv --reuid=trestle --regid=trestle --clear-groups env -i STATE_DIRECTORY=/var/lib/trestle CACHE_DIRECTORY=/var/cache/trestle \
    /usr/bin/trestle serve --config /etc/trestle/trestle.yaml --listen 127.0.0.1:0 >"$out" 2>&1 &
  daemon=$!
  for ((tries = 0; tries < 200; tries++)); do
    grep -q '^listening on ' "$out" && break
    kill -0 "$daemon" || { cat "$out"; return 1; }
    sleep 0.05
  done
  [ -n "$(find "$root/var/lib/trestle" -mindepth 1 -user "$(chroot "$root" id -u trestle)" ! -name kept)" ] || { echo "its state directory is not used"; return 1; }
  kill "$daemon" && wait "$daemon" || { cat "$out"; return 1; }
}

version_is() { [ "$(chroot "$root" dpkg-query -W -f '${Version}' trestle)" = "$1" ]; }
has_user() { chroot "$root" getent passwd trestle; }
has_unit() { [ -f "$root/usr/lib/systemd/system/trestle.service" ] || [ -f "$root/lib/systemd/system/trestle.service" ]; }
config_is_kept() { tail -n 1 "$root/etc/trestle/trestle.yaml" | grep -q '^# ours$'; }
starts_at_boot() { [ -L "$root/etc/systemd/system/multi-user.target.wants/trestle.service" ]; }
data_is_kept() { [ -e "$root/var/lib/trestle/kept" ]; }
# Of the package and of the daemon; the user stays.
nothing_is_left() {
  local left
  left="$(find "$root/etc" "$root/usr" "$root/var/lib" "$root/var/cache" "$root/lib" -xdev \( -name 'trestle*' -o -path '*/trestle/*' \) 2>/dev/null |
    grep -v -e /var/lib/dpkg/ -e /var/cache/apt/ -e /etc/systemd/system.*deb-systemd -e /deb-systemd-helper)"
  [ -z "$left" ] || { echo "$left"; return 1; }
}

make_debian_root "$root"
case_ "installs" install_ "$deb"
case_ "has a user" has_user
case_ "has a unit" has_unit
case_ "starts at boot" starts_at_boot
case_ "answers" chroot "$root" trestle --version
case_ "serves as its user" serves
echo '# ours' >>"$root/etc/trestle/trestle.yaml"
touch "$root/var/lib/trestle/kept"
case_ "upgrades" install_ "$newer"
case_ "is the newer one" version_is "$(dpkg-deb -f "$newer" Version)"
case_ "keeps a changed configuration" config_is_kept
case_ "keeps its data" data_is_kept
case_ "serves after the upgrade" serves
case_ "is removed" apt_remove remove
case_ "keeps its data when it is removed" data_is_kept
case_ "is purged" apt_remove purge
case_ "nothing is left" nothing_is_left
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
