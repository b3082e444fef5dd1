#!/usr/bin/env bash
# Four ranks of which one is frozen or hangs, whose disk fills up while they save, whose checkpoints are damaged: each is
# found, named and survived, and the run ends as one that nobody disturbed.
#   fault_ranks.sh <omni> <models/tiny> <token shards>
set -uo pipefail
. "$(dirname "$0")/rank_runs.sh"
host=$(uname -n)
silent="rank 2 on $host has given no sign of life for 3 s: it is frozen, or its host cannot be reached"
short=(--set timeouts.silence_seconds=3)

expect 0 "60 steps" pretrain stage.yaml --out whole --devices 4

# Frozen, under the launcher, which kills it.
"$omni" pretrain stage.yaml --out launched --devices 4 "${short[@]}" >launched.log 2>&1 &
run=$!
check 'the run is under way' wait_until has_lines launched/metrics.jsonl 2
frozen=$(process_of 2 "$run")
kill -STOP "$frozen"
expect_end "$run" 4 'the launcher'
expect_one_error launched.log "$silent"
check 'the frozen rank is killed' has_ended "$frozen"
expect 0 '60 steps' pretrain stage.yaml --out launched --devices 4 --resume
expect_same_result whole launched

# Frozen, among ranks by themselves: it ends when it is continued.
start_ranks 4 plain "${short[@]}"
check 'the run is under way' wait_until has_lines plain/metrics.jsonl 2
kill -STOP "${ranks[2]}"
for rank in 0 1 3; do
  expect_end "${ranks[rank]}" 4 "rank $rank"
  expect_one_error "plain.$rank.log" "$silent"
done
check 'the frozen rank is still there' kill -0 "${ranks[2]}"
kill -CONT "${ranks[2]}"
expect_end "${ranks[2]}" 4 'the frozen rank'
expect_one_error plain.2.log 'rank . on '
start_ranks 4 plain --resume
for rank in 0 1 2 3; do expect_end "${ranks[rank]}" 0 "rank $rank"; done
expect_same_result whole plain

# Hanging: rank 0 waits for ever for what it reads, and nobody reads what it says.
mkdir -p hanging/checkpoints/step-00000003
mkfifo hanging/checkpoints/step-00000003/manifest.json hanging.0.log
exec 7<>hanging.0.log
dd if=/dev/zero bs=4096 count=64 oflag=nonblock status=none >&7 2>/dev/null
start_ranks 4 hanging --resume --set timeouts.call_minutes=0.03
for rank in 1 2 3; do
  expect_end "${ranks[rank]}" 4 "rank $rank"
  expect_one_error "hanging.$rank.log" "rank 0 on $host hangs: it has begun 0 calls, another rank 1 .*did not answer in time"
done
expect_end "${ranks[0]}" 4 'the rank that hangs'
exec 7>&-

# The disk takes nothing more from one of the ranks, as if it were full, for a while or up to the end.
start_on_small_disk() {
  (
    trap '' XFSZ
    exec "$omni" pretrain stage.yaml --out "$1" --devices 4 --set checkpoints_kept=30
  ) >"$1.log" 2>&1 &
  run=$!
  check 'the run is under way' wait_until has_lines "$1/metrics.jsonl" 1
  writer=$(process_of 2 "$run")
  prlimit --pid "$writer" --fsize=1000:
}
start_on_small_disk full
check 'a checkpoint fails' wait_until has_text 'was not written' full.log
prlimit --pid "$writer" --fsize=unlimited:
expect_end "$run" 0 'the run'
check "each failure is told once, by rank: $(cat full.log)" \
  [ "$(grep -c 'was not written' full.log)" = "$(grep -cE '^warning: the checkpoint of step [0-9]+ was not written: rank 2: ' full.log)" ]
check 'no other rank tells it' [ "$(grep -c '^\[rank' full.log)" = 0 ]
expect 0 'sound' checkpoint verify full
expect_same_result whole full
start_on_small_disk narrow
expect_end "$run" 4 'the run whose last checkpoint fails'
expect_one_error narrow.log "rank 2.*shard-00002-of-00004"
check 'the bundle is there' cmp -s whole/bundle/model.safetensors narrow/bundle/model.safetensors
expect 0 'sound' checkpoint verify narrow
expect 0 '60 steps' pretrain stage.yaml --out narrow --devices 4 --resume
expect_same_result whole narrow

# Damaged: a byte of the last checkpoint's, the manifest of the one before.
shard=full/checkpoints/step-00000060/shard-00002-of-00004.safetensors
byte=$(od -An -tu1 -j 3000 -N 1 "$shard")
printf "\\x$(printf %x $((byte ^ 1)))" | dd of="$shard" bs=1 seek=3000 conv=notrunc status=none
rm full/checkpoints/step-00000057/manifest.json
"$omni" pretrain stage.yaml --out full --devices 4 --resume >resumed.log 2>&1
check "the run goes on: $(cat resumed.log)" has_text '^pretrain: 60 steps' resumed.log
check "what is damaged is told once: $(cat resumed.log)" [ "$(grep -cE \
  "^warning: .*shard-00002-of-00004.*step-00000057.*from the checkpoint before, '.*step-00000054'" resumed.log)" = 1 ]
check 'no other rank tells it' [ "$(grep -c '^\[rank' resumed.log)" = 0 ]
present full/checkpoints/step-00000060.damaged
expect_same_result whole full
finish
