#!/usr/bin/env bash
# Sets up, builds and runs the tests.
#   tools/test.sh              fast and slow tests of the release build
#   tools/test.sh --fast       the fast ones alone
#   tools/test.sh --sanitize   the fast tests under AddressSanitizer and UndefinedBehaviorSanitizer, too
#   tools/test.sh --nightly    all of that, every benchmark built, ThreadSanitizer, the GPU kernels on the host shim under
#                              MemorySanitizer, and every parser fuzzed for OMNI_FUZZ_SECONDS (120)
set -euo pipefail
cd "$(dirname "$0")/.."

fast_only=0 sanitize=0 nightly=0
for argument in "$@"; do
  case "$argument" in
    --fast) fast_only=1 ;;
    --sanitize) sanitize=1 ;;
    --nightly) sanitize=1 nightly=1 ;;
    *) echo "test.sh: unknown argument '$argument'. Valid: --fast --sanitize --nightly" >&2; exit 2 ;;
  esac
done

tools/setup.sh
cmake --build --preset release
# Tests run side by side: threads that wait by spinning would take the cores from the others.
export OMP_WAIT_POLICY=passive
ctest --preset release -L fast -j "$(nproc)"
[ "$fast_only" = 1 ] || ctest --preset release -L slow -j "$(nproc)"

# sanitized <preset>: builds it and runs its fast tests.
sanitized() {
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1"
  ASAN_OPTIONS=detect_leaks=1 ctest --preset "$1" -L fast -j "$(nproc)"
}

unwritten_memory() {
  cmake --preset msan >/dev/null
  cmake --build --preset msan
  build/msan/tests/shim/test_shim
  build/msan/tests/kernels/shim/test_kernels_shim
  build/msan/tests/kernels/shim/test_decode_shim
  build/msan/tests/kernels/shim/test_training_shim
}

fuzz() {
  cmake --preset fuzz >/dev/null
  local targets=()
  for source in tests/fuzz/*_fuzz.cpp; do
    targets+=("fuzz_$(basename "$source" _fuzz.cpp)")
  done
  cmake --build --preset fuzz --target "${targets[@]}"
  for target in "${targets[@]}"; do
    echo "test: fuzzing with $target"
    local work=build/fuzz/corpus/$target
    mkdir -p "$work"
    # What crashed is left in the folder of the build, to be added to tests/fuzz/corpus with its mending.
    "build/fuzz/tests/fuzz/$target" -max_total_time="${OMNI_FUZZ_SECONDS:-120}" -rss_limit_mb=4096 -timeout=20 \
      -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/" "$work" "tests/fuzz/corpus/${target#fuzz_}"
  done
}

[ "$sanitize" = 0 ] || sanitized asan
if [ "$nightly" = 1 ]; then
  cmake --build --preset release --target benchmarks/all
  OMNI_FAULT_KILLS=100 ctest --preset release -R Fault_drill
  sanitized tsan
  tools/setup.sh --fuzzers
  unwritten_memory
  fuzz
fi
