#!/bin/bash
# The unit file as systemd reads it: no complaint, and an exposure that it calls OK or better (below 5.0).
#
#   unit.sh UNIT      `N passed, N failed, N skipped` at the end
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
ensure_debian_packages systemd
unit="$1" passed=0 failed=0
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# The program is not installed where the unit says; whether one is there is not what is asked.
sed 's#^\(Exec[A-Z][a-z]*=\)[^ ]*#\1/bin/true#' "$unit" >"$work/trestle.service"
mkdir "$work/trestle.service.d"

# case_ NAME TEXT: passes where TEXT, what is wrong, is empty
case_() {
  if [ -z "$2" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED  $1: $2"; fi
}

complaints() { systemd-analyze verify "$work/trestle.service" 2>&1 | grep trestle; }
too_exposed() {
  systemd-analyze security --offline=yes --no-pager "$work/trestle.service" | awk '
    /Overall exposure level/ { level = $(NF - 2); found = 1 }
    END { if (!found) print "no exposure level"; else if (level + 0 >= 5) print "exposure " level }'
}

case_ "verify" "$(complaints)"
case_ "security" "$(too_exposed)"
cp "$TRESTLE_ROOT/deploy/containers.conf" "$work/trestle.service.d/"
case_ "verify, with the drop-in for containers" "$(complaints)"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
