# Images for tests/sdk/containers, made of this machine's own files, since nothing here may depend on a hub. Source it after scripts/lib.sh.
#
# What is in them is what Beam's images have: the SDK's boot program, built by Go from the SDK's own source, and what that needs.

PYTHON_IMAGE="localhost/trestle-test-python:$$" GO_IMAGE="localhost/trestle-test-go:$$"

# boot_program SDK: prints the path of python's or go's boot program, built if it is not
boot_program() {
  local folder="$TRESTLE_CACHE/boot-$BEAM_VERSION/$1"
  mkdir -p "$folder"
  [ -x "$folder/container" ] || GOFLAGS=-mod=mod CGO_ENABLED=0 GOBIN="$folder" go install \
    "github.com/apache/beam/sdks/v2/$1/container@v$BEAM_VERSION" >"$folder.log" 2>&1 || { tail -5 "$folder.log" >&2; return 1; }
  echo "$folder/container"
}

# package_files PACKAGE...: the files of these Debian packages and of all that they depend on, relative to /
package_files() {
  local file packages
  packages="$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances "$@" | grep '^[a-z0-9]' | sort -u)"
  {
    # shellcheck disable=SC2086
    dpkg -L $packages | grep -vE '^/usr/share/(doc|man|locale|info)/'
    # on a merged /usr these are links, whatever the packages say
    printf '/%s\n' bin sbin lib lib32 lib64 libx32
  } | sort -u | while read -r file; do
    if [ -L "$file" ] || [ -f "$file" ]; then echo "${file#/}"; fi
  done | sed -E 's#^(bin|sbin|lib|lib32|lib64|libx32)/#usr/\1/#' | sort -u
}

# import_image NAME BOOT FILES CHANGE...: the files that the list FILES names, /tmp, a user, and BOOT as the entry point
import_image() {
  local name="$1" boot="$2" files="$3" work change changes=(); shift 3
  work="$(mktemp -d)"
  mkdir -p "$work/opt/apache/beam" "$work/etc" "$work/root" "$work/tmp" && chmod 1777 "$work/tmp" && cp "$boot" "$work/opt/apache/beam/boot"
  echo 'root:x:0:0:root:/root:/bin/sh' >"$work/etc/passwd"
  for change in 'ENTRYPOINT ["/opt/apache/beam/boot"]' "$@"; do changes+=(--change "$change"); done
  tar -C / -cf "$work/image.tar" --files-from="$files" && tar -C "$work" -rf "$work/image.tar" etc opt root tmp &&
    "$ENGINE" import "${changes[@]}" "$work/image.tar" "$name" >/dev/null 2>"$work/log" || { tail -3 "$work/log" >&2; false; }
  set -- $?
  rm -rf "$work"
  return "$1"
}

# make_images PYTHON_BOOT GO_BOOT: apache-beam is not copied: the virtual environment of the tests is to be mounted where it is.
make_images() {
  local files status=0
  files="$(mktemp)"
  {
    package_files python3 dash coreutils ca-certificates libstdc++6 >"$files" &&
      import_image "$PYTHON_IMAGE" "$1" "$files" "ENV PATH=$VENV/bin:/usr/bin:/bin" 'ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1' &&
      package_files libc6 ca-certificates >"$files" && import_image "$GO_IMAGE" "$2" "$files"
  } || status=1
  rm -f "$files"
  return $status
}

remove_images() { "$ENGINE" rmi --force "$PYTHON_IMAGE" "$GO_IMAGE" >/dev/null 2>&1; }
