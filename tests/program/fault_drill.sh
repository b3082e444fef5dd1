#!/usr/bin/env bash
# Four ranks that are killed at random moments (in steps, while they save, while old checkpoints are removed) and start
# again end with the weights, moments and metrics of a run that nobody disturbed, and lose no checkpoint.
#   fault_drill.sh <omni> <models/tiny> <token shards>
# OMNI_FAULT_KILLS: how often a run is killed; 5 unless set.
set -uo pipefail
kills=${OMNI_FAULT_KILLS:-5}
. "$(dirname "$0")/rank_runs.sh"

begun=$(date +%s%3N)
expect 0 "60 steps" pretrain stage.yaml --out whole --devices 4
whole_ms=$(($(date +%s%3N) - begun))

# Starts the run, or goes on with it, and kills one of its processes at any moment of its life. False where it had ended
# before.
live_and_die() {
  local life_ms=$((RANDOM * whole_ms / 32768)) victims code=0 newest
  "$omni" pretrain stage.yaml --out part --devices 4 --resume auto >log 2>&1 &
  run=$!
  sleep "$((life_ms / 1000)).$(printf %03d $((life_ms % 1000)))"
  victims=("$run" $(pgrep -P "$run"))
  kill -KILL "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null
  wait "$run" 2>/dev/null || code=$?
  # Ranks die with their launcher, and let go of the run, but not in the same moment.
  for victim in "${victims[@]}"; do
    for _ in $(seq 1000); do kill -0 "$victim" 2>/dev/null || break; sleep 0.02; done
  done
  newest=$(ls -d part/checkpoints/step-*/manifest.json 2>/dev/null | tail -n 1)
  if [ -n "$newest" ]; then
    expect 0 "" checkpoint verify "$(dirname "$newest")"
    check "a kill took back a checkpoint: ${last:-} was there, ${newest%/*} is the newest" \
      [ ! "${newest%/*}" \< "${last:-}" ]
    last=${newest%/*}
  fi
  [ "$code" != 0 ]
}

died=0
while [ "$died" -lt "$kills" ] && [ "$failures" = 0 ]; do
  rm -rf part
  last=
  while [ "$died" -lt "$kills" ] && live_and_die; do died=$((died + 1)); done
  expect 0 '60 steps' pretrain stage.yaml --out part --devices 4 --resume auto
  expect_same_result whole part
done
echo "$died kills"
finish
