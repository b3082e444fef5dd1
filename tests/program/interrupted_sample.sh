#!/usr/bin/env bash
# Ctrl-C while several samples of one prompt are drawn: what is whole stays, and where it is and how to go on is told.
#   interrupted_sample.sh <omni> <bundle>
omni=$1 bundle=$2
. "$(dirname "$0")/prelude.sh"
# Each the best of forty draws, so that most of the time is drawing's.
sample=(sample --model "$bundle" --seed 3 --temperature 1 --best-of 40 --batch 40 --resolution 16)
# A process that waits for Ctrl-C, by the second bit of the signals that it catches.
heeds_interrupts() { grep -q '^SigCgt:.*[2367abef]$' "/proc/$1/status"; }
# interrupt FILE ARGUMENTS...: sends Ctrl-C when the file is there; '': as soon as it is heeded. What is said goes to said.log.
interrupt() {
  local file=$1 run code=0
  shift
  "$omni" "${sample[@]}" "$@" >said.log 2>&1 &
  run=$!
  check 'the run has begun' wait_until heeds_interrupts "$run"
  [ -z "$file" ] || check 'samples are made' wait_until test -e "$file"
  kill -INT "$run"
  wait "$run" || code=$?
  check "Ctrl-C ends with 130: $(cat said.log)" [ "$code" = 130 ]
}
said() { check "it says '$1': $(cat said.log)" grep -qE -- "$1" said.log; }
silent_of() { check "it does not say '$1': $(cat said.log)" eval '! grep -qE -- "$1" said.log'; }

mkdir cut
prompt=(--prompt "a red chair" --count 6)
expect 0 '' "${sample[@]}" "${prompt[@]}" --out whole.glb --codes whole.json
interrupt cut/chair_1.glb "${prompt[@]}" --out cut/chair.glb --codes cut/codes.json --preview cut/all.png
made=$(ls cut/chair_*.glb | wc -l)
check "some are made, and some are not: $made" [ "$made" -ge 2 -a "$made" -lt 6 ]
for mesh in cut/chair_*.glb; do
  number=${mesh//[!0-9]/}
  check "$mesh is whole" cmp "$mesh" "whole_$number.glb"
  check "the codes of $mesh are whole" cmp "cut/codes_$number.json" "whole_$number.json"
  said "interrupted: $made of 6 samples are written: .*$mesh"
done
present cut/all.png
check 'no file is left half written' [ "$(ls cut | wc -l)" = $((2 * made + 1)) ]
said 'The same command begins anew.*--prompts FILE --out FOLDER'

# Nothing of a single one, and no way to go on where there is no prompt that a file could hold.
interrupt '' --prompt "a red chair" --best-of 400 --out one.glb
said 'interrupted: nothing is written'
absent one.glb
silent_of 'of 1 samples'
interrupt blue_0.glb --mesh whole_0.glb --instruction "paint the legs blue" --count 6 --out blue.glb
said 'of 6 samples (is|are) written: blue_0.glb'
said 'The same command begins anew'
silent_of '--prompts FILE'
finish
