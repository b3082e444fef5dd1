#!/usr/bin/env bash
# From nothing to meshes: sets up, builds, makes procedural data, trains the three stages from scratch at the tiny
# scale, samples held-out prompts, and leaves meshes, pictures, a page and figures in out/demo/.
#   tools/demo.sh                 about 15 minutes on two CPU cores after the build
#   tools/demo.sh --full          trains longer: about 60 minutes
#   tools/demo.sh --from-scratch  trains the tokenizers, too: about 40 minutes
#   tools/demo.sh --smoke         every step at toy length, about a minute; its figures mean nothing
#   --out DIR                     another folder than out/demo
set -euo pipefail
cd "$(dirname "$0")/.."

mode=short from_scratch=0 out=out/demo
while [ $# -gt 0 ]; do
  case "$1" in
    --full) mode=full ;;
    --smoke) mode=smoke ;;
    --from-scratch) from_scratch=1 ;;
    --out) [ $# -ge 2 ] || { echo "demo.sh: --out needs a folder" >&2; exit 2; }; out=$2; shift ;;
    -h|--help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "demo.sh: unknown argument '$1'. Valid: --full --from-scratch --smoke --out DIR" >&2; exit 2 ;;
  esac
  shift
done

# objects with an image, objects without; minutes until the training is done, of which the last two stages take their
# own and stage 1 what is left; prompts, images, chains and edits per held-out split
case "$mode" in
  short) viewed=8000  plain=14000 trained=13  continue=0.7 finetune=2.3 prompts=32 images=32 chains=4 edits=16 ;;
  full)  viewed=20000 plain=30000 trained=56  continue=2   finetune=14  prompts=32 images=32 chains=8 edits=16 ;;
  smoke) viewed=160   plain=600   trained=0.3 continue=0.05 finetune=0.05 prompts=1  images=1 chains=1 edits=1 ;;
esac
image_settings=() shape_settings=()  # of the tokenizers' training, beyond their configs
if [ "$mode" = smoke ]; then
  image_settings=(--set steps=30 --set data.objects=100)
  shape_settings=(--set minutes=0.1 --set objects=100 --set evaluation_objects=8)
fi

tools/setup.sh
omni=build/release/omni
started=$(date +%s)
say() { printf '\n== %s (%d s)\n' "$*" $(($(date +%s) - started)); }

rm -rf "$out"
mkdir -p "$out"
tokenizers=models/tiny
if [ "$from_scratch" = 1 ]; then
  tokenizers=$out/tokenizers
  say "training the tokenizers: text, then images and shapes side by side on half of the cores each"
  "$omni" tokenizer train text configs/tokenizers/text_tiny.yaml --out "$tokenizers/text_tokenizer.json"
  half=$((($(nproc) + 1) / 2))
  OMP_NUM_THREADS=$half "$omni" tokenizer train image configs/tokenizers/image_tiny.yaml \
    --out "$tokenizers/image_tokenizer" "${image_settings[@]}" >"$out/image_tokenizer.log" 2>&1 &
  image_job=$!
  trap 'kill "$image_job" 2>/dev/null || true' EXIT
  OMP_NUM_THREADS=$half "$omni" tokenizer train shape configs/tokenizers/shape_tiny.yaml \
    --out "$tokenizers/shape_tokenizer" "${shape_settings[@]}"
  wait "$image_job" || { cat "$out/image_tokenizer.log" >&2; exit 1; }
  tail -n 3 "$out/image_tokenizer.log"
  trap - EXIT
fi

prepared=$(date +%s)
say "making and tokenising procedural objects: $viewed of sizes of their own with pictures, $plain without"
tokenize() {
  "$omni" data tokenize --source procedural --seed 1 --split train --text-tokenizer "$tokenizers/text_tokenizer.json" \
    --shape-tokenizer "$tokenizers/shape_tokenizer" "$@"
}
tokenize --count "$viewed" --variation 1 --views 3 --image-tokenizer "$tokenizers/image_tokenizer" --out "$out/tokens/viewed"
tokenize --skip "$viewed" --count "$plain" --out "$out/tokens/plain"
shards="[$out/tokens/viewed, $out/tokens/plain]"

# Machines differ in how fast they make and tokenise objects: stage 1 gets the rest of the time, a tenth of it at least.
pretrain=$(awk -v total="$trained" -v later="$continue" -v last="$finetune" -v elapsed=$(($(date +%s) - prepared)) \
  'BEGIN {left = total - elapsed / 60 - later - last; least = total / 10; printf "%.2f", (left > least ? left : least)}')
say "stage 1: pre-training ($pretrain minutes)"
"$omni" pretrain configs/tiny/pretrain.yaml --out "$out/pretrain" --set "shards=$shards" --set minutes="$pretrain" \
  --set tokenizers.text="$tokenizers/text_tokenizer.json" --set tokenizers.image="$tokenizers/image_tokenizer" \
  --set tokenizers.shape="$tokenizers/shape_tokenizer"
say "stage 2: view continuation ($continue minutes)"
"$omni" continue configs/tiny/continue.yaml --out "$out/continue" --set "shards=$shards" --set minutes="$continue" \
  --set start_bundle="$out/pretrain/bundle"
say "stage 3: interleaved fine-tuning ($finetune minutes)"
"$omni" finetune configs/tiny/finetune.yaml --out "$out/finetune" --set "shards=$shards" --set minutes="$finetune" \
  --set start_bundle="$out/continue/bundle"

say "sampling meshes"
mkdir -p "$out/meshes"
sample() {
  local name=$1; shift
  local code=0
  "$omni" sample --model "$out/finetune/bundle" --seed 1 --temperature 0 --out "$out/meshes/$name.glb" \
    --preview "$out/meshes/$name.png" "$@" || code=$?
  # After a few seconds of training a model may well draw an empty shape, which omni says with 3.
  [ "$code" = 0 ] || { [ "$mode" = smoke ] && [ "$code" = 3 ]; } || exit "$code"
}
sample red_chair --prompt "a tall wide red chair with a round seat, a high back and thick black legs"
sample table_through_an_image --task "text->image->shape" --prompt "a tall wide round green table with four thick yellow legs"

say "evaluating on held-out prompts"
"$omni" eval configs/eval/demo.yaml --out "$out" --set "bundles=[{name: demo, path: $out/finetune/bundle}]" \
  --set "metrics=[$out/pretrain/metrics.jsonl, $out/continue/metrics.jsonl, $out/finetune/metrics.jsonl]" \
  --set "controls.training_shards=$shards" \
  --set tasks.0.prompts_per_split="$prompts" --set tasks.1.prompts_per_split="$images" --set tasks.2.prompts_per_split="$chains" \
  --set tasks.3.prompts_per_split="$edits"
seconds=$(($(date +%s) - started))
sed -i "s/\"seconds\": null/\"seconds\": $seconds/" "$out/summary.json"
say "done"
sed '/"details"/,$d' "$out/summary.json"
printf '\npage:    %s\nfigures: %s\nmeshes:  %s\n' "$out/report.html" "$out/summary.json" "$out/meshes"
