#!/usr/bin/env bash
# Tokenizers trained by two ranks: that they are the run of one, that the first rank alone tells and writes, that a signal
# and a rank that dies end all of them, and that what is left goes on.
#   tokenizer_ranks.sh <omni>
omni=$1
. "$(dirname "$0")/prelude.sh"
export OMP_NUM_THREADS=1
has_ended() { ! kill -0 "$1" 2>/dev/null; }

cat >image.yaml <<YAML
network:
  {image_size: 16, channels: 8, channel_multipliers: [1, 2], res_blocks: [0, 1], attention: false, norm_groups: 2, z_channels: 8,
   codebook_size: 16, codebook_dim: 4}
steps: 20
batch_size: 5
continuous_share: 0.2
precision: fp32
log_steps: 1
data: {objects: 6, views_per_object: 2}
YAML
cat >shape.yaml <<YAML
grid:
  encoder_kernels: [2, 2, 2]
  encoder_channels: [4, 8, 16]
  decoder_channels: [16, 8]
  decoder_blocks: [1, 1]
  quantiser: {kind: vq, codebook_size: 16, codebook_dim: 4}
  colour: {slots: 3, palette: 8, channels: 8}
objects: 6
batch: 3
steps: 10
continuous_share: 0.2
near_points: 64
volume_points: 32
colour_points: 32
evaluation_objects: 2
log_steps: 1
YAML

numbers() { grep -oE '"(step|loss|psnr_db|field_loss)":[^,}]*' "$1/metrics.jsonl"; }
same_run() {
  paste <(numbers "$1") <(numbers "$2") | awk -F'[:\t]' \
    '{ if ($1 != $3 || ($2 - $4) ^ 2 > 1e-6 * $4 ^ 2) bad = 1 } END { exit bad || NR < 20 }'
}
for kind in image shape; do
  expect 0 "^$kind tokenizer: [12]0 steps" tokenizer train $kind $kind.yaml --out $kind-alone
  code=0
  "$omni" tokenizer train $kind $kind.yaml --out $kind-ranks --devices 2 >log 2>&1 || code=$?
  check "two ranks end well: $(cat log)" [ "$code" = 0 ]
  check "the first rank alone tells of it: $(cat log)" [ "$(grep -c "^$kind tokenizer: " log)" = 1 ]
  check "no other rank says anything: $(cat log)" [ "$(grep -c '^\[rank' log)" = 0 ]
  check "they take the steps of one: $(paste <(numbers $kind-ranks) <(numbers $kind-alone))" \
    same_run $kind-ranks $kind-alone
  present $kind-ranks/training.yaml
  present $kind-ranks.checkpoint.safetensors
  check 'nothing unfinished is left' [ -z "$(find . -name '*.tmp')" ]
  expect 2 'one for each. Raise batch' tokenizer train $kind $kind.yaml --out many --devices 2 --set steps=2 \
    --set "$([ $kind = image ] && echo batch_size || echo batch)=1"
  absent many
done

# A signal to the launcher, then a rank that dies: both leave something to go on from, for any number of ranks.
long=(--set steps=100000 --set checkpoint_minutes=0.01)
"$omni" tokenizer train image image.yaml --out run --devices 2 "${long[@]}" >log 2>&1 &
run=$!
check "the run is under way: $(cat log)" wait_until has_lines run.metrics.jsonl 5
kill -TERM "$run"
check 'it ends' wait_until has_ended "$run"
code=0
wait "$run" || code=$?
check "it ends with 75: $(cat log)" [ "$code" = 75 ]
check "it says where it stopped: $(cat log)" grep -qE 'stopped after step [0-9]+; a checkpoint is in' log
lines=$(wc -l <run.metrics.jsonl)
"$omni" tokenizer train image image.yaml --out run --devices 3 --resume "${long[@]}" >log 2>&1 &
run=$!
check "three ranks go on: $(cat log)" wait_until has_lines run.metrics.jsonl $((lines + 5))
check "they say from where: $(cat log)" grep -q "resuming from '.*run.checkpoint.safetensors' at step $lines" log
for process in $(pgrep -P "$run"); do
  if tr '\0' '\n' <"/proc/$process/environ" | grep -qx RANK=1; then kill -KILL "$process"; fi
done
check 'the run ends' wait_until has_ended "$run"
code=0
wait "$run" || code=$?
check "it fails, not with $code: $(cat log)" [ "$code" = 137 ]
check "one error names the rank: $(cat log)" [ "$(grep -cE '^omni: .*rank 1 on .* (is gone|signal 9)' log)" = 1 ]
absent run
expect 0 'image tokenizer: [0-9]+ steps' tokenizer train image image.yaml --out run --resume --set minutes=0.01 \
  --set steps=100000
present run/weights.safetensors
finish
