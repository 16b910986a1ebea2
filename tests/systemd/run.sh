#!/bin/bash
# The Debian package's service under a systemd that has booted, with control groups of version 2 (booted.py says what is asked of it).
#
#   run.sh DEB [CASE...]      as root; `N passed, N failed, N skipped` at the end
#
#   SUITE_TIMEOUT    seconds for all (3600)
#
# The logs are $TRESTLE_RESULTS/systemd/{log,log.console}. Skipped where the machine (machine.sh) cannot be made or does not boot.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
. "$TRESTLE_ROOT/tests/systemd/machine.sh"
skip() { echo "skipped: $*"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
deb="$1"
[ "$(id -u)" = 0 ] || skip "not root, so there is no chroot to make a system in"
[ "$(dpkg --print-architecture)" = amd64 ] || skip "the machine is an amd64"
ensure_debian_packages "${MACHINE_PACKAGES[@]}"
ensure_venv
work="$TRESTLE_RESULTS/systemd"
make_ignored_dir "$TRESTLE_RESULTS" && mkdir -p "$work"
make_machine "$(dpkg-deb -f "$deb" Depends)" || skip "$MACHINE_WHY"

disk="$(mktemp -d)"
trap 'rm -rf "$disk"' EXIT
chmod 0755 "$disk"
cp "$deb" "$disk/trestle.deb"
cp "$TRESTLE_ROOT"/tests/systemd/*.py "$TRESTLE_ROOT"/tests/sdk/boot_python.{py,sh} "$disk/"
cat >"$disk/run" <<RUN
#!/bin/sh
echo up
exec /opt/beam/bin/python -B /opt/test/booted.py /opt/test/trestle.deb ${*:2} 2>/dev/console
RUN
chmod +x "$disk/run"
tar -C "$disk" -cf "$disk.tar" . && truncate -s %1M "$disk.tar" && rm -rf "$disk" && disk="$disk.tar" || die "cannot write $disk.tar"
run_machine "$disk" "$work/log" "${SUITE_TIMEOUT:-3600}"
grep -q '^up' "$work/log" || skip "the machine does not boot (log: $work/log.console)"
tr -d '\r' <"$work/log" | grep -v '^up$'
[ "$(tail -n 1 "$work/log" | tr -d '\r' | cut -d, -f2)" = " 0 failed" ]
