# Sourced by the scripts of this folder, which set $omni.

failures=0

# expect CODE 'REGEX over both outputs' ARGUMENTS...
expect() {
  local code=$1 pattern=$2 output actual=0
  shift 2
  output=$("$omni" "$@" 2>&1) || actual=$?
  if [ "$actual" != "$code" ] || ! grep -qE -- "$pattern" <<<"$output"; then
    printf 'omni %s\n  exit %s (wanted %s), output (wanted /%s/):\n%s\n' "$*" "$actual" "$code" "$pattern" "$output"
    failures=$((failures + 1))
  fi
}
# check 'WHAT SHOULD HOLD' COMMAND...
check() {
  local what=$1
  shift
  "$@" || { echo "does not hold: $what"; failures=$((failures + 1)); }
}
# wait_until COMMAND...: false where it does not hold within a minute.
wait_until() {
  for _ in $(seq 1200); do
    if "$@"; then return 0; fi
    sleep 0.05
  done
  return 1
}
has_lines() { [ -e "$1" ] && [ "$(wc -l <"$1")" -ge "$2" ]; }
present() { check "'$1' is there" [ -s "$1" ]; }
absent() { check "'$1' is not there" [ ! -e "$1" ]; }

finish() { [ "$failures" = 0 ] || { echo "$failures expectations failed"; exit 1; }; }
