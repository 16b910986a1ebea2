# A virtual machine that boots Debian with its own kernel and systemd, does what it is given and ends. Source it after scripts/lib.sh,
# and be root, which debootstrap and chroot ask for.
#
# The machine is QEMU's; its disk is made once for each release of the SDK and kept in $TRESTLE_CACHE. What a run writes is not kept.
#
#   MACHINE_ACCEL    QEMU's accelerator (tcg: emulation, which works everywhere, and slowly)
. "$TRESTLE_ROOT/tests/package/debian_root.sh"

MACHINE_PACKAGES=(qemu-system-x86 seabios e2fsprogs)
# In the machine. polkitd: who may start services is asked of it.
MACHINE_SYSTEM=(systemd systemd-sysv udev dbus polkitd linux-image-cloud-amd64 initramfs-tools python3 python3-venv)

# put_beam ROOT: apache-beam in ROOT/opt/beam, of the same packages as $VENV
put_beam() {
  local library
  library="$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
  chroot "$1" python3 -m venv --without-pip /opt/beam &&
    cp -a "$library/." "$1/opt/beam/lib/$(basename "$(dirname "$library")")/site-packages/" &&
    chroot "$1" /opt/beam/bin/python -c 'import apache_beam' 2>/dev/null
}

# put_script ROOT: what the second disk, a tar, has as `run` is run when the system is up; its output goes to the second serial port
put_script() {
  cat >"$1/etc/systemd/system/second-disk.service" <<'UNIT'
[Unit]
Description=What the second disk says
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir /opt/test && tar -C /opt/test -xf /dev/vdb && /opt/test/run'
ExecStopPost=/bin/systemctl poweroff --no-block
StandardOutput=file:/dev/ttyS1
StandardError=inherit
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
UNIT
  chroot "$1" systemctl --quiet enable second-disk.service
}

# make_machine DEPENDS: sets MACHINE to a folder with disk, vmlinuz and initrd; DEPENDS, in the form of a package's, is installed in it.
# Fails with what is in the way in MACHINE_WHY.
make_machine() {
  local key root log="$TRESTLE_CACHE/machine.log"
  key="$(cat "$TRESTLE_ROOT/tests/systemd/machine.sh" - <<<"$1 $BEAM_VERSION" | sha256sum | cut -c1-16)"
  MACHINE="$TRESTLE_CACHE/machine-$key"
  [ ! -e "$MACHINE/disk" ] || return 0
  rm -rf "$TRESTLE_CACHE"/machine-*
  mkdir -p "$MACHINE"
  root="$(mktemp -d)"
  say "making a system to boot (log: $log)"
  if ! build_machine "$root" "$1" >"$log" 2>&1; then
    MACHINE_WHY="no system to boot could be made: $(tail -n 1 "$log")"
    rm -rf "$MACHINE"
  fi
  remove_debian_root "$root"
  [ -e "$MACHINE/disk" ]
}

build_machine() { # ROOT DEPENDS
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends)
  # in a shell of its own, since it dies where it fails
  ( trap - EXIT; make_debian_root "$1" ) &&
    chroot "$1" "${apt[@]}" install "${MACHINE_SYSTEM[@]}" && chroot "$1" "${apt[@]}" satisfy "$2" && chroot "$1" apt-get clean || return
  put_beam "$1" || { echo "the packages of $VENV do not work in it"; return 1; }
  put_script "$1" || return
  rm "$1/usr/sbin/policy-rc.d" && umount "$1/proc" || return
  cp "$1"/boot/vmlinuz-* "$MACHINE/vmlinuz" && cp "$1"/boot/initrd.img-* "$MACHINE/initrd" &&
    mke2fs -q -t ext4 -d "$1" "$MACHINE/disk.new" 8G && mv "$MACHINE/disk.new" "$MACHINE/disk"
}

# run_machine TAR OUT LIMIT: boots it with TAR as its second disk; what `run` says goes to OUT, and the console to OUT.console. Ends with
# the machine, which is killed after LIMIT seconds.
run_machine() {
  : >"$2"
  "${WITH_SCRIPT[@]}" timeout -k 5 "$3" qemu-system-x86_64 -machine q35 -accel "${MACHINE_ACCEL:-tcg,thread=multi}" -cpu max -smp 2 -m 3072 \
    -display none -nodefaults -no-reboot -nic none \
    -kernel "$MACHINE/vmlinuz" -initrd "$MACHINE/initrd" -append "root=/dev/vda rw console=ttyS0 panic=-1" \
    -drive "file=$MACHINE/disk,if=virtio,format=raw,snapshot=on" -drive "file=$1,if=virtio,format=raw,readonly=on" \
    -serial "file:$2.console" -serial "file:$2"
}
