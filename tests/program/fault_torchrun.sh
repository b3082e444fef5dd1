#!/usr/bin/env bash
# Two ranks under torchrun's elastic agent: one is killed, the agent starts both again, and the run goes on from its
# checkpoint to the end of a run that nobody disturbed. Skipped (77) where no python3 has torch.
#   fault_torchrun.sh <omni> <models/tiny> <token shards>
set -uo pipefail
if ! python3 -c 'import torch.distributed.run' 2>/dev/null; then
  echo "skipped: no python3 in PATH has torch, whose torchrun is needed"
  exit 77
fi
. "$(dirname "$0")/rank_runs.sh"

expect 0 "60 steps" pretrain stage.yaml --out whole --devices 2
python3 -m torch.distributed.run --standalone --nproc-per-node 2 --max-restarts 2 --no-python \
  "$omni" pretrain stage.yaml --out part >log 2>&1 &
agent=$!
check "the run saves itself: $(tail -n 5 log)" wait_until has_lines part/metrics.jsonl 3
killed=$(process_of 1 "$agent")
kill -KILL "$killed"
code=0
wait "$agent" || code=$?
check "the agent ends well, not with $code: $(tail -n 20 log)" [ "$code" = 0 ]
check "the second attempt goes on: $(cat log)" grep -qE "resuming from 'part/checkpoints/step-0" log
check "one attempt was enough" [ "$(grep -c 'resuming from' log)" = 1 ]
check "the other rank tells why it ended: $(cat log)" grep -qE 'omni: rank 1 on .* is gone' log
expect_same_result whole part
finish
