#!/usr/bin/env bash
# Packs the program, with all that it needs but LibTorch, glibc and a GPU's driver, and with its tiny model, into one archive
# for other x86-64 Linux machines. It is unpacked anywhere, without root: omni-VERSION/bin/omni runs with a LibTorch of the
# same version, that of OMNI_LIBTORCH=DIR or that of python3, and says what does not fit.
#   tools/package.sh [--tests] [--out FILE] [--bundle DIR] [--build DIR] [--built]
#     --tests   also tests and benchmarks, for tools/gpu-report.sh
#     --out     the archive (default: out/omni-VERSION-x86_64.tar.gz)
#     --bundle  another model to pack, as bundle/ (default: the tiny tokenizers and a model after three steps of training)
#     --build   the build folder (default: build/release)
#     --built   packs what is built there, without a look at the sources
set -euo pipefail
cd "$(dirname "$0")/.."

MAXIMUM_MEGABYTES=50

tests=0 out="" bundle="" build=build/release built=0
while [ $# -gt 0 ]; do
  case "$1" in
    --tests) tests=1 ;;
    --built) built=1 ;;
    --out | --bundle | --build)
      [ $# -ge 2 ] || { echo "package.sh: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift
      ;;
    -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "package.sh: unknown argument '$1'. Valid: --tests --out --bundle --build --built" >&2; exit 2 ;;
  esac
  shift
done
die() { echo "package.sh: $*" >&2; exit 1; }

if [ "$built" = 0 ]; then
  tools/setup.sh --no-build
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
  cmake --build "$build" --target package_program $([ "$tests" = 0 ] || echo package_tests)
fi
packaged=$build/package
needed_programs="omni"
[ "$tests" = 0 ] || needed_programs="omni tests/test_kernels benchmarks/train_step benchmarks/kernels/packed_attention"
for program in $needed_programs; do
  [ -x "$packaged/libexec/$program" ] || die "there is no $packaged/libexec/$program. Leave out --built"
done
cached() { sed -n "s/^$1:[^=]*=//p" "$build/CMakeCache.txt" | head -n 1; }
libtorch=$(cached LIBTORCH_ROOT)
version=$(cached CMAKE_PROJECT_VERSION)
out=${out:-out/omni-$version-x86_64.tar.gz}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/omni-$version
mkdir -p "$root/bin" "$root/libexec" "$root/lib/runtime" "$root/share/omni/models"

cp tools/package/launch tools/package/omni "$root/bin"
cp LICENSE "$root"
cp third_party/README.md "$root/libraries.md"
cp -r models/tiny "$root/share/omni/models"
cp "$packaged/libexec/omni" "$root/libexec"
cp "$packaged/lib/libomni.so" "$root/lib"
plugin=$build/libomni_cuda.so
[ ! -e "$plugin" ] || cp "$plugin" "$root/lib"
[ ! -e "$build/libomni_cuda_graph.so" ] || cp "$build/libomni_cuda_graph.so" "$root/lib"
if [ "$tests" = 1 ]; then
  cp -r "$packaged/libexec/tests" "$packaged/libexec/benchmarks" "$root/libexec"
  cp -r benchmarks/peers "$root/libexec/benchmarks"
  # A Cube3D of random weights has a test's tokenizer of texts.
  cp benchmarks/text_to_mesh.sh benchmarks/random_cube3d.py "$root/libexec/benchmarks"
  mkdir -p "$root/libexec/tests/fixtures/public/clip"
  cp tests/fixtures/public/clip/{config,tokenizer}.json "$root/libexec/tests/fixtures/public/clip"
fi

# The libraries that those need, and the ones that these need; not what LibTorch brings with it, nor what it needs.
needed() { objdump -p "$1" | sed -n 's/^ *NEEDED *//p'; }
path_of() {
  LD_LIBRARY_PATH=$packaged/lib:$libtorch/lib ldd "$packaged/libexec/omni" | awk -v name="$1" '$1 == name { print $3 }'
}
is_of_the_system() { [[ $1 =~ ^(ld-linux-x86-64|lib(c|m|mvec|pthread|dl|rt|util|resolv|anl|nsl))\.so\. ]]; }
programs() { find "$root/libexec" "$root/lib" -type f -exec sh -c 'head -c 4 "$1" | grep -q ELF' _ {} \; -print; }
waiting=$(programs)
while [ -n "$waiting" ]; do
  found=""
  for name in $(for file in $waiting; do needed "$file"; done | sort -u); do
    folder=$root/lib
    case "$name" in libstdc++.so.* | libgcc_s.so.*) folder=$root/lib/runtime ;; esac
    if is_of_the_system "$name" || [ -e "$libtorch/lib/$name" ] || [ -e "$folder/$name" ]; then continue; fi
    path=$(path_of "$name")
    [ -n "$path" ] || die "$name is needed and cannot be found"
    cp -L "$path" "$folder/$name"
    found="$found $folder/$name"
  done
  waiting=$found
done
programs | xargs strip --strip-unneeded

# The newest interface of glibc that any of them asks for.
glibc=$(programs | xargs objdump -T | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n 1)
runtime=$(readlink -f "$(path_of libstdc++.so.6)")
{
  echo "version: $version"
  echo "commit: $(git rev-parse HEAD 2>/dev/null || echo unknown)$([ -z "$(git status --porcelain 2>/dev/null)" ] || echo ', changed')"
  echo "glibc: $glibc"
  echo "libtorch: $(sed -n 's/^#define TORCH_VERSION_\(MAJOR\|MINOR\|PATCH\) *//p' "$libtorch/include/torch/headeronly/version.h" | paste -s -d . -)"
  echo "libstdc++: ${runtime##*libstdc++.so.}"
  echo "compiler: $("$(cached CMAKE_CXX_COMPILER)" --version | head -n 1)"
  if [ -e "$plugin" ]; then
    echo "gpu kernels: sm_$(cached CMAKE_CUDA_ARCHITECTURES | sed 's/;/ sm_/g')"
    echo "cuda compiler: $("$(cached CMAKE_CUDA_COMPILER)" --version | sed -n 's/.*release //p')"
  else
    echo "gpu kernels: none"
  fi
  echo "tests: $([ "$tests" = 1 ] && echo yes || echo no)"
} >"$root/about"

# The archive's own program makes the model, which shows that it runs. One thread: the same bits on every machine.
make_bundle() {
  export OMNI_LIBTORCH=$libtorch OMP_NUM_THREADS=1
  local omni=$root/bin/omni tokenizers=$PWD/models/tiny
  local given=(--text-tokenizer "$tokenizers/text_tokenizer.json" --image-tokenizer "$tokenizers/image_tokenizer"
    --shape-tokenizer "$tokenizers/shape_tokenizer")
  "$omni" data tokenize --count 60 --views 2 "${given[@]}" --out "$work/tokens"
  "$omni" pretrain configs/tiny/pretrain.yaml --set "output=$work/run" --set "shards=[$work/tokens]" \
    --set model.width=64 --set model.heads=1 --set model.single_blocks=1 --set precision=fp32 \
    --set steps=3 --set minutes=0 --set tokens_per_step=1024 --set tokens_per_micro_batch=1024
  cp -r "$work/run/bundle" "$root/bundle"
  # What tools/gpu-report.sh trains on.
  [ "$tests" = 0 ] || cp -r "$work/tokens" configs/tiny/pretrain.yaml "$root/libexec/tests"
}
if [ -n "$bundle" ]; then
  cp -r "$bundle" "$root/bundle"
else
  make_bundle >"$work/bundle.log" 2>&1 || { tail -n 5 "$work/bundle.log" >&2; die "the model cannot be made"; }
fi

mkdir -p "$(dirname "$out")"
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf - "omni-$version" | gzip -9n >"$work/archive"
bytes=$(stat -c %s "$work/archive")
[ "$bytes" -le $((MAXIMUM_MEGABYTES * 1000000)) ] ||
  die "the archive has $((bytes / 1000000)) MB, more than $MAXIMUM_MEGABYTES. Pack a smaller model with --bundle"
mv "$work/archive" "$out"
chmod 644 "$out"
echo "package.sh: wrote $out, $((bytes / 100000))00 kB; it needs glibc $glibc and LibTorch $(sed -n 's/^libtorch: //p' "$root/about")"
