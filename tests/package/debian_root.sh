# A Debian system in a folder, as the one this runs on. Source it after scripts/lib.sh, and be root.
#
# A bare one is made once, by debootstrap, and kept in $TRESTLE_CACHE.

# mirror_and_suite: where this machine's own packages come from
mirror_and_suite() {
  apt-get indextargets --format '$(REPO_URI) $(SUITE) $(CODENAME) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
    awk '$4 == "main" && $5 == "Debian" && $3 !~ /-/ { print $1, $3; exit }'
}

# debian_root_tar: prints where the bare one is, made if it is not
debian_root_tar() {
  local where root base="$TRESTLE_CACHE/bare-debian.tar"
  if [ ! -e "$base" ]; then
    ensure_debian_packages debootstrap
    read -ra where <<<"$(mirror_and_suite)"
    [ "${#where[@]}" = 2 ] || die "this machine's apt has no Debian mirror"
    root="$(mktemp -d)"
    debootstrap --variant=minbase --include=ca-certificates,procps "${where[1]}" "$root" "${where[0]}" >"$TRESTLE_CACHE/debootstrap.log" 2>&1 ||
      { rm -rf --one-file-system "$root"; die "no bare system could be made (log: $TRESTLE_CACHE/debootstrap.log)"; }
    chmod 0755 "$root"
    tar -C "$root" --one-file-system -cf "$base.new" . && mv "$base.new" "$base" || die "cannot write $base"
    rm -rf --one-file-system "$root"
  fi
  echo "$base"
}

# make_debian_root DIR: with /proc mounted, the lists of packages fetched, and services that packages do not start
make_debian_root() {
  local base root="$1"
  base="$(debian_root_tar)" || exit 1
  tar -C "$root" -xf "$base" || die "cannot read $base"
  chmod 0755 "$root" # it is its users' root directory, too
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  mount -t proc proc "$root/proc" || die "no /proc in $root"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  chroot "$root" apt-get -q update >"$root/apt.log" 2>&1 || die "apt-get update failed in the bare system"
}

# remove_debian_root DIR
remove_debian_root() {
  umount "$1/proc" 2>/dev/null
  rm -rf --one-file-system "$1"
}
