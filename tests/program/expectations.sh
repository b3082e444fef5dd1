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
present() { check "'$1' is there" [ -s "$1" ]; }
absent() { check "'$1' is not there" [ ! -e "$1" ]; }

finish() { [ "$failures" = 0 ] || { echo "$failures expectations failed"; exit 1; }; }
