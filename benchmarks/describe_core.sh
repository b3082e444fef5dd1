#!/usr/bin/env bash
# Describes a core of this host for `--dry-run --gpu`, from one rank's steps while another one like it runs beside it, and a link.
#   describe_core.sh <omni> <models/tiny> <token shards> <file.yaml> <tokens of a micro-batch> <Gbit/s> [key=value of the stage...]
set -euo pipefail
omni=$1 tokenizers=$2 shards=$3 described=$4 tokens=$5 rate=$6
overrides=("${@:7}")
. "$(dirname "$0")/ranks_stage.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1

write_stage "$work/stage.yaml" "$tokens"
cat >>"$work/stage.yaml" <<YAML
tokens_per_step: $((2 * tokens))
steps: 4
recompute: true
YAML
settings=(--set log_steps=4)
for override in "${overrides[@]}"; do settings+=(--set "$override"); done
alone=()
for copy in 0 1; do
  "$omni" pretrain "$work/stage.yaml" --out "$work/$copy" "${settings[@]}" --profile steps=2..3 >"$work/log-$copy" 2>&1 &
  alone+=($!)
done
for process in "${alone[@]}"; do wait "$process" || { cat "$work"/log-*; exit 1; }; done

# What it would take at one operation and one byte in the time of which it is the unit.
cat >"$work/unit.yaml" <<YAML
peak_tflops: 1
utilisation: 1
memory_gb_per_second: 1
YAML
"$omni" pretrain "$work/stage.yaml" "${settings[@]}" --dry-run --ranks 1 --gpu "$work/unit.yaml" >"$work/estimate"
milliseconds_of() { sed -n "s/^#   $1 *\([0-9.]*\) ms.*/\1/p" "$work/estimate"; }
python3 - "$work"/0/profile/*.json "$(milliseconds_of 'forward and backward')" "$(milliseconds_of optimizer)" "$rate" >"$described" <<'PYTHON'
import json
import sys

path, passes, update, rate = sys.argv[1], *map(float, sys.argv[2:5])
with open(path) as file:
    events = json.load(file)["traceEvents"]


def milliseconds(*names):  # of a step; two were profiled
    return 1e-3 / 2 * sum(e["dur"] for e in events if e["ph"] == "X" and e["name"] in names)


print(f"""peak_tflops: {passes / milliseconds('forward', 'backward'):.4f}
utilisation: 1
memory_gb_per_second: {update / milliseconds('optimizer'):.2f}
node_size: 1
network_gb_per_second: {rate / 8}
hop_microseconds: 120""")
PYTHON
cat "$described"
