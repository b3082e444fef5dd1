#!/usr/bin/env bash
# Four ranks whose clocks are set to and fro by a month while they run, each at other moments: the run ends as one that
# nobody disturbed, a frozen rank is found as before, and no time that is told is other than it was.
#   fault_clock.sh <omni> <models/tiny> <token shards>
set -uo pipefail
if [ -z "${JUMPING_CLOCK-}" ]; then
  echo "skipped: JUMPING_CLOCK names no library to preload"
  exit 77
fi
. "$(dirname "$0")/rank_runs.sh"
expect 0 '60 steps' pretrain stage.yaml --out whole --devices 4

with_jumps() { LD_PRELOAD=$JUMPING_CLOCK exec "$omni" "$@"; }
check 'the clock jumps' [ "$(for _ in $(seq 8); do LD_PRELOAD=$JUMPING_CLOCK date +%Y%m; sleep 0.25; done | sort -u | wc -l)" -gt 1 ]

short=(--set timeouts.silence_seconds=3)
with_jumps pretrain stage.yaml --out jumping --devices 4 "${short[@]}" >jumping.log 2>&1 &
run=$!
check 'the run is under way' wait_until has_lines jumping/metrics.jsonl 4
kill -TERM "$run"
expect_end "$run" 75 'a run that is stopped'
with_jumps pretrain stage.yaml --out jumping --devices 4 --resume "${short[@]}" >resumed.log 2>&1 &
expect_end $! 0 'the run that goes on'
check "nothing is wrong: $(cat jumping.log resumed.log)" [ "$(cat jumping.log resumed.log | grep -cE 'omni: |warning')" = 1 ]
expect_same_result whole jumping
expect 0 'sound' checkpoint verify jumping
check 'event files are named in the order in which they were written' \
  [ "$(cd jumping && ls -t events.* | head -n 1)" = "$(cd jumping && ls events.* | sort | tail -n 1)" ]
check "no time is a month or less than none: $(grep -oE '"[a-z_]*seconds[a-z_]*":[^,}]*' jumping/metrics.jsonl)" \
  [ "$(grep -oE '"[a-z_]*seconds[a-z_]*":[^,}]*' jumping/metrics.jsonl | grep -cvE ':[0-9]{1,3}(\.[0-9]*)?$')" = 0 ]

# As long as it was told to.
with_jumps pretrain stage.yaml --out brief --devices 4 --set steps=1000000 --set minutes=0.05 >brief.log 2>&1 &
expect_end $! 0 'the run of three seconds'
check "it takes three seconds: $(cat brief.log)" has_text '^pretrain: [0-9]+ steps, .* in [34](\.[0-9])? ?s' brief.log

with_jumps pretrain stage.yaml --out frozen --devices 4 --set steps=1000000 "${short[@]}" >frozen.log 2>&1 &
run=$!
check 'the run is under way' wait_until has_lines frozen/metrics.jsonl 2
kill -STOP "$(process_of 2 "$run")"
expect_end "$run" 4 'the run with a frozen rank'
expect_one_error frozen.log 'rank 2 on .* has given no sign of life for 3 s'
finish
