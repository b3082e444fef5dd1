#!/usr/bin/env bash
# Sets up, builds and runs the tests.
#   tools/test.sh              fast and slow tests of the release build
#   tools/test.sh --fast       the fast ones alone
#   tools/test.sh --sanitize   the fast tests under AddressSanitizer and UndefinedBehaviorSanitizer, too
set -euo pipefail
cd "$(dirname "$0")/.."

fast_only=0 sanitize=0
for argument in "$@"; do
  case "$argument" in
    --fast) fast_only=1 ;;
    --sanitize) sanitize=1 ;;
    *) echo "test.sh: unknown argument '$argument'. Valid: --fast --sanitize" >&2; exit 2 ;;
  esac
done

tools/setup.sh
# Tests run side by side: threads that wait by spinning would take the cores from the others.
export OMP_WAIT_POLICY=passive
ctest --preset release -L fast -j "$(nproc)"
[ "$fast_only" = 1 ] || ctest --preset release -L slow
if [ "$sanitize" = 1 ]; then
  cmake --preset asan >/dev/null
  cmake --build --preset asan
  ASAN_OPTIONS=detect_leaks=1 ctest --preset asan -L fast -j "$(nproc)"
fi
