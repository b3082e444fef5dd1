#!/usr/bin/env bash
# Four ranks that are killed at random moments (in steps, while they save, while old checkpoints are removed) and start
# again end with the weights, moments and metrics of a run that nobody disturbed, and lose no checkpoint.
#   fault_drill.sh <omni> <models/tiny> <token shards>
# OMNI_FAULT_KILLS: how many are killed; 8 unless set.
set -uo pipefail
omni=$1 tokenizers=$2 shards=$3 kills=${OMNI_FAULT_KILLS:-8}
. "$(dirname "$0")/expectations.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMP_NUM_THREADS=1

cat >stage.yaml <<YAML
stage: pretrain
output: run
tokenizers:
  text: $tokenizers/text_tokenizer.json
  image: $tokenizers/image_tokenizer
  shape: $tokenizers/shape_tokenizer
text_capacity: 40
shards: [$shards]
model: {width: 64, single_blocks: 2, heads: 2}
mixture: {text->shape: 1, image->shape: 1}
tokens_per_step: 1024
tokens_per_micro_batch: 256
steps: 60
precision: bf16
muon: {enabled: true}
log_steps: 4
checkpoint_steps: 3
checkpoints_kept: 2
YAML

# What of a run must repeat itself, in one line each.
result() {
  cksum <"$1/bundle/model.safetensors"
  (cd "$1/checkpoints/step-00000060" && cksum shard-*)
  grep -oE '"(step|progress|loss[^"]*|accuracy[^"]*|tokens|learning_rate|gradient_norm)":[^,}]*' "$1/metrics.jsonl" | cksum
}

expect 0 "60 steps" pretrain stage.yaml --out whole --devices 4
"$omni" pretrain stage.yaml --out part --devices 4 >log 2>&1 &
run=$!
for kill in $(seq "$kills"); do
  sleep "0.$((RANDOM % 900 + 100))"
  victims=("$run" $(pgrep -P "$run"))
  kill -KILL "${victims[RANDOM % ${#victims[@]}]}" 2>/dev/null
  wait "$run" 2>/dev/null
  # Ranks die with their launcher, and let go of the run, but not in the same moment.
  for victim in "${victims[@]}"; do
    for _ in $(seq 1000); do kill -0 "$victim" 2>/dev/null || break; sleep 0.02; done
  done
  newest=$(ls -d part/checkpoints/step-*/manifest.json 2>/dev/null | tail -n 1)
  if [ -n "$newest" ]; then
    expect 0 "" checkpoint verify "$(dirname "$newest")"
    check "kill $kill took back a checkpoint: ${last:-} was there, ${newest%/*} is the newest" \
      [ ! "${newest%/*}" \< "${last:-}" ]
    last=${newest%/*}
  fi
  "$omni" pretrain stage.yaml --out part --devices 4 --resume auto >log 2>&1 &
  run=$!
done
wait "$run"
check "the last attempt ends well: $(tail -n 3 log)" [ $? = 0 ]
check "weights, moments and metrics are those of the undisturbed run:
$(diff <(result whole) <(result part))" [ "$(result whole)" = "$(result part)" ]
finish
