#!/usr/bin/env bash
# Installs what omni123 needs on Debian 12 or Ubuntu: system packages, and LibTorch into .deps/.
# Safe to run twice: what is there already is left alone. Run as root or with sudo.
#   tools/setup.sh              installs and builds the program; further arguments go to the build
#   tools/setup.sh --no-build   installs
#   tools/setup.sh --fuzzers    installs, with the compiler that the fuzzers need
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH_VERSION=2.11.0
CUDA_RUNTIME_VERSION=13.0.96
CUPTI_VERSION=13.0.85
# What this LibTorch names as its own.
GPU_LIBRARIES="nvidia-cublas==13.1.0.3 nvidia-cuda-nvrtc==13.0.88 nvidia-cudnn-cu13==9.19.0.56 nvidia-cufft==12.0.0.61
  nvidia-cufile==1.15.1.6 nvidia-curand==10.4.0.35 nvidia-cusolver==12.0.4.66 nvidia-cusparse==12.6.3.3
  nvidia-cusparselt-cu13==0.8.0 nvidia-nccl-cu13==2.28.9 nvidia-nvjitlink==13.0.88 nvidia-nvshmem-cu13==3.4.5
  nvidia-nvtx==13.0.85"
PACKAGES="build-essential cmake ninja-build ccache git pkg-config unzip python3 python3-pip lld
  libyaml-cpp-dev libspdlog-dev libcli11-dev libgtest-dev libgmock-dev nlohmann-json3-dev
  libpcre2-dev libarchive-dev libjpeg-dev libpng-dev libwebp-dev libstb-dev libdraco-dev
  libassimp-dev libmeshoptimizer-dev libembree-dev libxxhash-dev libzstd-dev zlib1g-dev"

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

[ "$(uname -sm)" = "Linux x86_64" ] || die "only Linux on x86-64 is supported, this is $(uname -sm)"
command -v apt-get >/dev/null || die "this script knows Debian and Ubuntu only. Install by hand: $PACKAGES"

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "packages are missing and you are not root. Run with sudo, or install: $*"; fi
}

install_packages() {
  local missing=()
  for package in $PACKAGES; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} = 0 ]; then say "system packages: all there"; return; fi
  say "system packages: installing ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# download_wheel <name==version> <folder>: one wheel, without what it depends on (that is Python-only here).
download_wheel() {
  python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_25_x86_64 \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest "$2" "$1" \
    || die "cannot download $1. Check the network, or unpack LibTorch >= 2.11 yourself and set LIBTORCH_ROOT"
}

install_libtorch() {
  local stamp=.deps/libtorch/.omni-$TORCH_VERSION
  if [ -f "$stamp" ]; then say "LibTorch $TORCH_VERSION: there, in .deps/libtorch"; return; fi
  local work; work=$(mktemp -d .deps-setup.XXXXXX)
  # The folder's name must outlive the function: the trap runs at exit.
  trap "rm -rf '$PWD/$work'" EXIT
  say "LibTorch $TORCH_VERSION: downloading (530 MB)"
  download_wheel "torch==$TORCH_VERSION" "$work"
  download_wheel "nvidia-cuda-runtime==$CUDA_RUNTIME_VERSION" "$work"
  download_wheel "nvidia-cuda-cupti==$CUPTI_VERSION" "$work"
  say "LibTorch $TORCH_VERSION: unpacking"
  unzip -q "$work"/torch-*.whl 'torch/lib/*' 'torch/include/*' -d "$work"
  unzip -q -o "$work"/nvidia_cuda_runtime*.whl 'nvidia/cu13/lib/libcudart.so*' -d "$work"
  unzip -q -o "$work"/nvidia_cuda_cupti*.whl 'nvidia/cu13/lib/libcupti.so*' -d "$work"
  rm -f "$work"/torch/lib/libtorch_python.so
  mkdir -p .deps
  rm -rf .deps/libtorch .deps/nvidia
  mv "$work/torch" .deps/libtorch
  # libtorch_cpu finds these two through its own run path, which leads here.
  mv "$work/nvidia" .deps/nvidia
  touch "$stamp"
  rm -rf "$work"
  say "LibTorch $TORCH_VERSION: in .deps/libtorch"
}

# What LibTorch's CUDA half needs, where there is a GPU to run it.
install_gpu_libraries() {
  local stamp=.deps/nvidia/.omni-$TORCH_VERSION
  if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L 2>/dev/null | grep -q GPU; then return; fi
  if [ -f "$stamp" ]; then say "CUDA libraries: there, in .deps/nvidia"; return; fi
  local work; work=$(mktemp -d .deps-setup.XXXXXX)
  trap "rm -rf '$PWD/$work'" EXIT
  say "CUDA libraries: downloading (2 GB)"
  for library in $GPU_LIBRARIES; do download_wheel "$library" "$work"; done
  for wheel in "$work"/*.whl; do unzip -q -o "$wheel" 'nvidia/*' -d .deps; done
  touch "$stamp"
  rm -rf "$work"
  say "CUDA libraries: in .deps/nvidia"
}

build() {
  say "building (release)"
  cmake --preset release >.deps/configure.log 2>&1 || { tail -n 30 .deps/configure.log >&2; die "configuration failed"; }
  cmake --build --preset release --target omni_program "$@"
  say "done: build/release/omni"
}

[ "${1:-}" != "--fuzzers" ] || PACKAGES="$PACKAGES clang-16 libclang-rt-16-dev"
install_packages
install_libtorch
install_gpu_libraries
case "${1:-}" in
  --no-build | --fuzzers) ;;
  *) build "$@" ;;
esac
