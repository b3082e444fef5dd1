#!/usr/bin/env bash
# Tokens per second of two ranks with one thread each (Gloo, on this host) beside one rank with one thread, a 100M shape.
#   several_ranks.sh <omni> <models/tiny> <token shards>
# Two cores of an EPYC: 557 and 540 tokens/s alone, 988 and 1,014 together: 1.8 times.
set -euo pipefail
omni=$1 tokenizers=$2 shards=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1

cat >"$work/stage.yaml" <<YAML
stage: pretrain
output: run
tokenizers:
  text: $tokenizers/text_tokenizer.json
  image: $tokenizers/image_tokenizer
  shape: $tokenizers/shape_tokenizer
text_capacity: 40
shards: [$shards]
model: {width: 768, single_blocks: 14, heads: 12}
mixture: {text->shape: 1, image->shape: 1}
tokens_per_step: 8192
tokens_per_micro_batch: 1024
steps: 6
precision: bf16
log_steps: 1
YAML

# Of the steps after the second, in which memory and kernels are made.
tokens_per_second() {
  sed -n 's/.*"tokens_per_second":\([0-9.]*\).*/\1/p' "$1/metrics.jsonl" |
    awk 'NR > 2 {inverse += 1 / $1; count++} END {printf "%.0f", count / inverse}'
}
for ranks in 1 2 1 2; do
  "$omni" pretrain "$work/stage.yaml" --out "$work/$ranks" --devices "$ranks" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  rates[ranks]=$(tokens_per_second "$work/$ranks")
  echo "several_ranks ranks=$ranks tokens_per_s=${rates[ranks]}"
  rm -rf "$work/$ranks"
done
awk -v one="${rates[1]}" -v two="${rates[2]}" 'BEGIN {printf "two ranks: %.2f times one\n", two / one}'
