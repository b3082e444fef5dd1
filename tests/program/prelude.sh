# Sourced first by the scripts of this folder that run commands, which set $omni: the rest of them runs in a folder of
# their own, which goes when they end.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/expectations.sh"
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT  # some are made without the right to write
cd "$work"
