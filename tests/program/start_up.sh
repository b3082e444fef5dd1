#!/usr/bin/env bash
# How OpenMP's threads wait is settled when the program starts, in one loading of its libraries.
#   start_up.sh <omni>
set -uo pipefail
omni=$1
. "$(dirname "$0")/expectations.sh"
unset OMP_WAIT_POLICY GOMP_SPINCOUNT

# spins COUNT VARIABLE=VALUE...: with these variables, one loading of the run-time library that reads this count.
spins() {
  local count=$1 output
  shift
  output=$(env "$@" OMP_DISPLAY_ENV=verbose "$omni" --version 2>&1)
  [ "$(grep -c 'OPENMP DISPLAY ENVIRONMENT BEGIN' <<<"$output")" = 1 ] &&
    grep -q "GOMP_SPINCOUNT = '$count'" <<<"$output" && grep -q '^omni [0-9]' <<<"$output"
}
check 'threads spin for a short while' spins 30000 LANG=C
check 'so they do with one variable alone' spins 30000 -i PATH="$PATH"
check 'a count that the user chose wins' spins 17 GOMP_SPINCOUNT=17
check 'a policy that the user chose wins' spins 0 OMP_WAIT_POLICY=passive
check 'without any variable the program starts' env -i "$omni" --version
finish
