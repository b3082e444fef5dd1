#!/usr/bin/env bash
# Tokens per second of two ranks with one thread each (Gloo, on this host) beside one rank with one thread, a 100M shape.
#   several_ranks.sh <omni> <models/tiny> <token shards>
# Two cores of an EPYC: 557 and 540 tokens/s alone, 988 and 1,014 together: 1.8 times.
set -euo pipefail
omni=$1 tokenizers=$2 shards=$3
. "$(dirname "$0")/ranks_stage.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1

write_stage "$work/stage.yaml" 1024
cat >>"$work/stage.yaml" <<YAML
tokens_per_step: 8192
steps: 6
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
