#!/usr/bin/env bash
# Installs a build into a temporary folder and builds and runs a small outside program against it.
#   tools/test_install.sh <build folder>
set -euo pipefail
build=$(cd "$1" && pwd)
source=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/install" >/dev/null
cmake -S "$source/tests/install" -B "$work/consumer" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$work/install" >"$work/configure.log" \
  || { cat "$work/configure.log"; exit 1; }
cmake --build "$work/consumer" >"$work/build.log" || { tail -n 40 "$work/build.log"; exit 1; }
"$work/consumer/consumer"
example=$(sed -n '/^#include/,$p' "$source/tests/install/words_to_mesh.cpp")
[[ $(<"$source/docs/sampling.md") == *"$example"* ]] || { echo "docs/sampling.md shows another words_to_mesh.cpp"; exit 1; }
"$work/install/bin/omni" sample --prompt "a red chair" --out "$work/chair.glb"
"$work/install/bin/omni" --version
