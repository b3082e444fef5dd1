#!/usr/bin/env bash
# The archive of tools/package.sh, unpacked elsewhere: that it samples a mesh there without the build tree, finds LibTorch
# in the two ways that it promises, and says by name what does not fit.
#   package.sh <build folder> <LibTorch>
set -uo pipefail
build=$1 libtorch=$2
source=$(cd "$(dirname "$0")/../.." && pwd)
. "$(dirname "$0")/expectations.sh"
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

"$source/tools/package.sh" --built --build "$build" --out "$work/archive.tar.gz" || exit 1
mkdir "$work/some place"
tar -xzf "$work/archive.tar.gz" -C "$work/some place"
root=$(echo "$work/some place"/omni-*)
chmod -R a-w "$root"
mkdir "$work/elsewhere"
cd "$work/elsewhere"

# with VARIABLES...: what `omni` below runs in, beside that nothing but a path to the system's programs.
with() {
  printf '#!/bin/sh\nexec env -i PATH="%s" %s "%s/bin/omni" "$@"\n' "${path:-/usr/bin:/bin}" "$*" "$root" >"$work/omni"
  chmod +x "$work/omni"
}
omni=$work/omni

# No library comes from the system but glibc's own.
elsewhere=$(LD_LIBRARY_PATH="$root/lib:$root/lib/runtime:$libtorch/lib" ldd "$root/libexec/omni" "$root/lib/libomni.so" |
  sed -n 's/.* => \(.*\) (0x.*/\1/p; s/.* => not found/&/p' | sort -u |
  grep -vE "^($root/lib|$(realpath "$libtorch/..")/)|/(lib(c|m|dl|rt|pthread|mvec|util)|ld-linux-x86-64)\.so\.[0-9]+$")
check "every library is in the archive or LibTorch's: $elsewhere" [ -z "$elsewhere" ]
check 'nothing says where it was built' [ -z "$(find "$root/libexec" "$root/lib" -type f -exec objdump -p {} + | grep -E 'RPATH|RUNPATH')" ]

with "OMNI_LIBTORCH=$libtorch"
expect 0 'libtorch: 2\.' info system
expect 0 'a.glb' sample --model "$root/bundle" --prompt 'a red chair' --out a.glb --seed 5 --temperature 1
expect 0 'healthy +yes' mesh check a.glb
expect 2 '' sample
expect 0 'model: .*share/omni/models/tiny/bundle' sample --prompt 'a red chair' --out shipped.glb
expect 0 'healthy +yes' mesh check shipped.glb
"$build/omni" sample --model "$root/bundle" --prompt 'a red chair' --out built.glb --seed 5 --temperature 1 >/dev/null 2>&1
check 'the packed program makes the mesh that the built one makes' cmp -s a.glb built.glb
ln -s "$root/bin/omni" link
check 'a link to the program starts it' [ -n "$(OMNI_LIBTORCH=$libtorch ./link --version)" ]

# A python3 that answers where its torch is.
mkdir "$work/python"
printf '#!/bin/sh\necho "%s"\n' "$libtorch" >"$work/python/python3"
chmod +x "$work/python/python3"
path=$work/python:/usr/bin:/bin with
expect 0 'libtorch: 2\.' info system
printf '#!/bin/sh\necho\n' >"$work/python/python3"
expect 4 "no LibTorch: OMNI_LIBTORCH is not set, and $work/python/python3 has no torch.*pip install" info system
with "OMNI_LIBTORCH=$work/nowhere"
expect 4 "no LibTorch in OMNI_LIBTORCH=$work/nowhere" info system

# LibTorch of another version, and one that does not say.
mkdir -p "$work/other/lib" "$work/other/include/torch/headeronly"
touch "$work/other/lib/libtorch_cpu.so"
with "OMNI_LIBTORCH=$work/other"
expect 4 'does not tell its version' info system
printf '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 12\n#define TORCH_VERSION_PATCH 1\n' \
  >"$work/other/include/torch/headeronly/version.h"
expect 4 'needs LibTorch 2\.11\.0, and the one in .*/other is 2\.12\.1' info system

# A system that is too old.
chmod -R u+w "$root"
sed -i 's/^glibc: .*/glibc: 99.5/' "$root/about"
with "OMNI_LIBTORCH=$libtorch"
expect 4 'needs glibc 99\.5 or newer, and this system has [0-9.]+' info system
finish
