#!/usr/bin/env bash
# Runs the omni commands of README.md and docs/, as they are written there, in a folder with what the demo left and what
# the texts assume: meshes, captions, a picture. Trainings are cut to two steps.
#   documented_commands.sh <omni> <the demo's output>
set -uo pipefail
omni=$1 demo=$2
source=$(cd "$(dirname "$0")/../.." && pwd)
[ -e "$demo/finetune/bundle/bundle.yaml" ] || { echo "skipped: there is no demo's output at $demo; run demo.smoke first"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir -p build/release out meshes other_meshes
ln -s "$omni" build/release/omni
ln -s "$source/configs" "$source/models" .
cp -r "$demo" out/demo

# Four objects of the procedural world, as somebody's own files.
"$omni" data synth --out world --seed 3 --count 4 >prepare.log 2>&1 || { cat prepare.log; exit 1; }
for shard in world/*.tar; do tar -xf "$shard" -C meshes --wildcards '*.glb'; done
echo 'path,caption' >meshes/captions.csv
for mesh in meshes/*.glb; do echo "${mesh#meshes/},a small thing" >>meshes/captions.csv; done
cp meshes/captions.csv captions.csv
cp meshes/*.glb other_meshes
"$omni" mesh render "$(ls meshes/*.glb | head -n 1)" --views 1 --azimuth 45 --elevation 30 --out picture.png

# What needs files or machines that are not here: KayKit's packs, published weights, GPUs, other programs, a run of an hour.
left_out='kaykit|llamagen|cube3d|text-stream|(import|verify) (clip|qwen3)|--device cuda|\.\.\.|turns=true|asset_tokenizer|out/(grown|clip|features)'
# One command a line: lines that go on are joined, remarks cut off.
commands() {
  awk 'FNR == 1 {code = 0} /^```/ {code = $0 ~ /^```sh/; next} code' "$source/README.md" "$source"/docs/*.md |
    sed -e ':join' -e '/\\$/{N;s/\\\n *//;b join' -e '}' -e 's/  *# .*$//' | grep '^build/release/omni ' | grep -vE -- "$left_out"
}
shorter() {
  case "$1" in
    *' pretrain '* | *' continue '* | *' finetune '*) echo ' --set steps=2 --set minutes=0' ;;
    *'tokenizer train text '*) echo ' --set data.objects=200' ;;
    *'tokenizer train image '*) echo ' --set steps=2 --set data.objects=8' ;;
    *'tokenizer train shape '*) echo ' --set steps=2 --set minutes=0 --set objects=8 --set evaluation_objects=2' ;;
    *'eval configs/'*) echo ' --set prompts_per_split=1 --set tasks.0.prompts_per_split=1 --set tasks.1.prompts_per_split=1 --set tasks.2.prompts_per_split=1 --set tasks.3.prompts_per_split=1' ;;
    *'tokenizer eval image '*) echo ' --objects 4' ;;
  esac
}
run=0 failures=0
while IFS= read -r command; do
  run=$((run + 1)) code=0
  [[ $command != *'data tokenize'* ]] || rm -rf out/mine/tokens  # two texts fill it, each in its own way
  output=$(eval "$command$(shorter "$command")" 2>&1) || code=$?
  # After a few seconds of training a model may draw an empty shape, which omni says with 3.
  [ "$code" = 3 ] && [[ $command == *' sample '* ]] && [[ $output == *'shape is empty'* ]] && { echo "an empty shape: $command"; code=0; }
  [ "$code" = 0 ] || { printf '%s\n  exit %s:\n%s\n' "$command" "$code" "$output"; failures=$((failures + 1)); }
done < <(commands)
echo "$run commands run, $failures failed"
[ "$run" -ge 20 ] && [ "$failures" = 0 ]
