#!/usr/bin/env bash
# tools/fetch-weights.sh beside a hub on this machine that breaks off, lies and cannot do ranges.
#   fetch_weights.sh
set -uo pipefail
command -v python3 >/dev/null && command -v curl >/dev/null || { echo "skipped: there is no python3 or no curl"; exit 77; }
here=$(cd "$(dirname "$0")" && pwd)
omni=$here/../../tools/fetch-weights.sh
. "$here/expectations.sh"
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"
files=hub/own/small/resolve/main
mkdir -p $files/text
head -c 300000 /dev/urandom >$files/large.safetensors
for name in breaks always_breaks norange wrong nosum renamed short busy upper; do head -c 200000 /dev/urandom >$files/$name.safetensors; done
echo '{"width": 3}' >$files/config.json
: >$files/empty.txt
head -c 1000 /dev/urandom >$files/text/model-1.safetensors
head -c 1000 /dev/urandom >$files/text/model-2.safetensors
echo '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}' >$files/text/model.safetensors.index.json
echo '{"weight_map": {"a": "../../up.safetensors"}}' >$files/text/evil.index.json
python3 "$here/small_hub.py" hub requests.log port &
server=$!
wait_until test -s port || { echo "the hub does not start"; exit 1; }
hub=http://127.0.0.1:$(cat port)
same() { check "'$1' came as it is" cmp "got/$1" "$files/$1"; absent "got/$1.part"; }
asked() { grep -c "^GET $1 $2\$" requests.log; }

expect 0 'checksum right' "$hub" own/small large.safetensors config.json empty.txt --out got
for name in large.safetensors config.json empty.txt; do same $name; done
expect 0 'there already' "$hub/" own/small large.safetensors --out got
check 'what is there is not fetched again' [ "$(asked large.safetensors 0)" = 1 ]
# What a call before has left is gone on from; what it has left of another file is not kept.
head -c 120000 $files/large.safetensors >got/large.safetensors.part
rm got/large.safetensors
expect 0 'checksum right' "$hub" own/small large.safetensors --out got
same large.safetensors
check 'only the rest is asked for' [ "$(asked large.safetensors 120000)" = 1 ]
head -c 120000 /dev/urandom >got/large.safetensors.part
rm got/large.safetensors
expect 0 'checksum right' "$hub" own/small large.safetensors --out got
same large.safetensors
head -c 400000 /dev/urandom >got/large.safetensors.part
rm got/large.safetensors
expect 0 'checksum right' "$hub" own/small large.safetensors --out got
same large.safetensors
# A file that was damaged since.
printf x | dd of=got/large.safetensors bs=1 seek=1000 conv=notrunc 2>/dev/null
expect 0 'checksum right' "$hub" own/small large.safetensors --out got
same large.safetensors

expect 0 'checksum right' "$hub" own/small breaks.safetensors --out got
same breaks.safetensors
expect 1 'broke off after 100000 of 200000 bytes' "$hub" own/small always_breaks.safetensors --out got --attempts 1
absent got/always_breaks.safetensors
check 'what came is kept' [ "$(stat -c %s got/always_breaks.safetensors.part)" = 100000 ]
expect 0 'checksum right' "$hub" own/small always_breaks.safetensors --out got --attempts 1
same always_breaks.safetensors
head -c 120000 $files/norange.safetensors >got/norange.safetensors.part
expect 0 'checksum right' "$hub" own/small norange.safetensors --out got
same norange.safetensors
expect 1 'what came is not what the hub states' "$hub" own/small wrong.safetensors --out got
absent got/wrong.safetensors
absent got/wrong.safetensors.part
expect 1 'broke off after 199000 of 200000 bytes|not what the hub states' "$hub" own/small short.safetensors --out got --attempts 2
absent got/short.safetensors
# Where nothing tells what a part is of, it is not gone on from.
head -c 120000 /dev/urandom >got/nosum.safetensors.part
expect 0 'states no checksum' "$hub" own/small nosum.safetensors --out got
same nosum.safetensors
expect 0 'there already, as long as it should be' "$hub" own/small nosum.safetensors --out got
expect 0 'checksum right' "$hub" own/small busy.safetensors --out got
same busy.safetensors
expect 0 'checksum right' "$hub" own/small upper.safetensors --out got
same upper.safetensors
expect 0 'checksum right' "$hub" own/small renamed.safetensors --out got
same renamed.safetensors
expect 1 'absent.safetensors answers 404' "$hub" own/small absent.safetensors --out got
expect 1 'answers 404' "$hub" own/small config.json --revision other --out got
expect 0 'model-2.safetensors' "$hub" own/small text/model.safetensors.index.json --out got
for name in model.safetensors.index.json model-1.safetensors model-2.safetensors; do same text/$name; done
expect 1 'which is no file beside it' "$hub" own/small text/evil.index.json --out got
expect 1 'cannot reach' http://127.0.0.1:1 own/small config.json --out never
expect 2 'at least one file' "$hub" own/small
expect 2 'is no address' localhost own/small config.json
expect 2 'is no name on a hub' "$hub" own/small ../config.json
expect 2 'is no name on a hub' "$hub" own/small 'a b'
expect 2 'no option --outt' "$hub" own/small config.json --outt got
expect 2 'needs a value' "$hub" own/small config.json --out
expect 2 'must be a number' "$hub" own/small config.json --attempts 0
finish
