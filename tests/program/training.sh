#!/usr/bin/env bash
# From tokens to samples with a model of a few steps: that a stage can be stopped and goes on, that its mistakes are
# named before anything is written, and that the same seed gives the same file.
#   training.sh <omni> <models/tiny>
omni=$1 tokenizers=$2
. "$(dirname "$0")/prelude.sh"

# stop_after SIGNAL CODE LINES METRICS LOG ARGUMENTS...: the signal, twice at once as launchers send it, once the run has
# written that many lines; it has to end with the code. Meanwhile a second process is told of the first.
stop_after() {
  local signal=$1 code=$2 lines=$3 metrics=$4 log=$5 training stopped=0
  shift 5
  "$omni" "$@" >"$log" 2>&1 &
  training=$!
  wait_until has_lines "$metrics" "$lines"
  expect 2 "in use by process $training.* since " "$@" --resume
  kill "-$signal" "$training"
  kill "-$signal" "$training"
  wait "$training" || stopped=$?
  check "SIG$signal ends with $code, not $stopped: $(tail -n 3 "$log")" [ "$stopped" = "$code" ]
}

cat >stage.yaml <<YAML
stage: pretrain
output: run
tokenizers:
  text: $tokenizers/text_tokenizer.json
  image: $tokenizers/image_tokenizer
  shape: $tokenizers/shape_tokenizer
text_capacity: 40
shards: [tokens]
model: {width: 64, single_blocks: 1, heads: 2}
tasks:
  - name: two texts
    segments:
      - {modality: text, drop_rate: 0.2}
      - {modality: text, drop_rate: 0.2}
      - {modality: shape, loss: true}
    joint_drop_rate: 0.1
mixture: {text->shape: 2, image->shape: 1, shape->text: 1, text+image->shape: 1, two texts: 1}
tokens_per_step: 1024
tokens_per_micro_batch: 512
steps: 3
YAML

expect 4 'tokens' pretrain stage.yaml
absent run
expect 0 '60 objects' data tokenize --count 60 --views 2 --text-tokenizer "$tokenizers/text_tokenizer.json" \
  --image-tokenizer "$tokenizers/image_tokenizer" --shape-tokenizer "$tokenizers/shape_tokenizer" --out tokens
expect 0 '# FLOPs per step: [0-9]' pretrain stage.yaml --dry-run
expect 0 "no shards in 'missing'.*" pretrain stage.yaml --dry-run --set 'shards=[missing]'
expect 0 '# memory of each of 2 ranks: about' pretrain stage.yaml --dry-run --devices 2
expect 2 'with 3 ranks: a step has 2 micro-batches' pretrain stage.yaml --dry-run --devices 3
expect 2 'with 3 ranks: a step has 2 micro-batches' pretrain stage.yaml --dry-run --devices 3 --set 'shards=[missing]'
expect 0 'it fits' pretrain stage.yaml --dry-run
expect 0 'it does not fit' pretrain stage.yaml --dry-run --set model.width=16384 --set model.single_blocks=64
expect 0 '# memory of the one rank: about' pretrain stage.yaml --dry-run --set device=cuda
expect 0 'each rank on its device: 0\.0.* of 80\.000 GB: it fits' pretrain stage.yaml --dry-run --devices 2 \
  --set device=cuda --device-memory-gb 80
expect 2 "device-memory-gb.*--dry-run" pretrain stage.yaml --device-memory-gb 80
# A model that no host here could hold.
expect 0 '# parameters: [0-9]{6}' pretrain stage.yaml --dry-run --set model.width=16384 --set model.single_blocks=64
# A rank that comes alone waits no longer than it is told.
RANK=1 LOCAL_RANK=1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=1 \
  expect 4 'none answers in 1\.02 s.*Check that rank 0 runs' pretrain stage.yaml --set timeouts.start_minutes=0.017
# Nor after it is asked to stop: neither one that no store answers nor one that no other rank joins.
for rank in 1 0; do
  RANK=$rank LOCAL_RANK=$rank WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$((29876 * (1 - rank) + rank)) \
    "$omni" pretrain stage.yaml >alone.log 2>&1 &
  sleep 2
  kill -TERM $!
  wait $!
  code=$?
  check "rank $rank, waiting alone, ends when asked to: $code, $(tail -n 1 alone.log)" [ "$code" = 75 ]
done
expect 2 '^omni: --set model.width=wide: ' pretrain stage.yaml --set model.width=wide
sed 's/width: 64/widht: 64/' stage.yaml >typo.yaml
expect 2 "^omni: typo.yaml:9:9: .*Did you mean 'width'" pretrain typo.yaml
expect 2 "Did you mean 'text->shape'" pretrain stage.yaml --set mixture.text-shape=1
expect 2 "not UTF-8" pretrain stage.yaml --out $'run\xff'
absent run

# Ctrl-C after some steps: a checkpoint, exit code 130, and the same command with --resume ends the run.
stop_after INT 130 2 run/metrics.jsonl training.log pretrain stage.yaml --set steps=1000000 --set log_steps=1
check 'nothing half-written is left' [ -z "$(find run -name '*.tmp')" ]
# A profile is of the steps up to there.
stop_after INT 130 4 profiled/metrics.jsonl profiled.log pretrain stage.yaml --out profiled --profile steps=2..101 \
  --set model.width=512 --set steps=1000000 --set log_steps=1
profile=profiled/profile/steps-2-101-rank-0.json
present $profile
taken=$(grep -oE 'stopped after step [0-9]+' profiled.log | grep -oE '[0-9]+')
profiled=$(grep -o '"cat":"step"' $profile | wc -l)
check "it was stopped inside the profile, at $taken" [ "$taken" -lt 101 ]
check "$profiled steps of $((taken - 1)) are in it" [ "$profiled" = $((taken - 1)) ]
# Samples of the first step, and Ctrl-C while there are many to make.
expect 2 "'sample_prompts' needs 'sample_steps'" pretrain stage.yaml --set 'sample_prompts=[a red chair]'
expect 0 '3 steps' pretrain stage.yaml --set output=shown --set sample_steps=2 --set 'sample_prompts=[a red chair]'
check 'a mesh was sampled' [ -s shown/samples/step-00000002/01.glb ]
check 'and at the end another' [ -s shown/samples/step-00000003/sheet.png ]
expect 0 'healthy' mesh check shown/samples/step-00000003/01.glb
stop_after INT 130 1 sampled/metrics.jsonl sampled.log pretrain stage.yaml --set output=sampled --set sample_steps=1 \
  --set "sample_prompts=[$(yes 'a red chair' | head -n 400 | paste -sd,)]" --set steps=1000000 --set log_steps=1
check 'sampling was given up' grep -q 'given up, for the run is to stop' sampled.log
check 'and left nothing' [ -z "$(find sampled/samples -mindepth 1)" ]
steps=$(basename run/checkpoints/step-* | sed 's/step-0*//')
expect 2 'holds an earlier run.*--resume' pretrain stage.yaml
expect 2 'model.width was 64 and is 32' pretrain stage.yaml --set model.width=32 --resume --allow-change model
expect 2 'seed was 1 and is 2.*--allow-change seed' pretrain stage.yaml --set seed=2 --resume
expect 2 'no such key. Did you mean .seed' pretrain stage.yaml --set seed=2 --resume --allow-change sead
expect 2 "--resume stage.yaml.*'auto' or nothing" pretrain --resume stage.yaml --set seed=2
expect 2 '--devices 4096: this host has .* at most' pretrain stage.yaml --devices 4096
expect 2 '--allow-change.*requires --resume' pretrain stage.yaml --allow-change seed
# SIGTERM and SIGUSR1, as from a scheduler, do the same and say that the run can be resumed.
stop_after TERM 75 $((steps + 2)) run/metrics.jsonl training.log pretrain stage.yaml --set steps=1000000 --set log_steps=1 --resume
steps=$(basename "$(ls -d run/checkpoints/step-* | tail -n 1)" | sed 's/step-0*//')
stop_after USR1 75 $((steps + 2)) run/metrics.jsonl training.log pretrain stage.yaml --set steps=1000000 --set log_steps=1 --resume
steps=$(basename "$(ls -d run/checkpoints/step-* | tail -n 1)" | sed 's/step-0*//')
expect 0 "$((steps + 2)) steps" pretrain stage.yaml --set steps=$((steps + 2)) --set log_steps=1 --resume
check 'each step stands in the metrics once' \
  [ "$(grep -o '"step":[0-9]*' run/metrics.jsonl | sort -u | wc -l)" = "$(wc -l <run/metrics.jsonl)" ]
# A finished run is left alone, says that it is finished, and goes on with more steps.
expect 2 'holds an earlier run that is finished.*--resume' pretrain stage.yaml
expect 0 'the run was finished. Raise steps' pretrain stage.yaml --set steps=$((steps + 2)) --resume
expect 0 "$((steps + 3)) steps" pretrain stage.yaml --set steps=$((steps + 3)) --set log_steps=1 --set seed=2 \
  --resume auto --allow-change seed
expect 2 'no checkpoint.*--resume auto' pretrain stage.yaml --set output=other --resume
absent other
expect 0 '3 steps' pretrain stage.yaml --set output=other --resume auto

# Checkpoints: shown, verified, written anew for four ranks, exported, sampled from.
last=$(ls -d run/checkpoints/step-* | tail -n 1)
expect 0 '^ranks +1$' checkpoint show "$last"
expect 0 '^seed: 2$' checkpoint show run
expect 0 "sound: $last" checkpoint verify run
expect 0 'saved' checkpoint convert "$last" four/checkpoints/step-00000001 --shards 4
expect 0 '^ranks +4$' checkpoint show four
expect 0 'sound' checkpoint verify four/checkpoints/step-00000001
expect 0 'bundle: exported' checkpoint export four/checkpoints/step-00000001 exported
check 'an exported bundle is the one that the run left' cmp -s exported/model.safetensors run/bundle/model.safetensors
expect 0 'direct.glb' sample --model "$last" --prompt 'a red chair' --out direct.glb --seed 5 --temperature 1
expect 0 'bundle: half' checkpoint export four/checkpoints/step-00000001 half --precision bf16
check 'weights in bf16 take half of the room' \
  [ "$(stat -c %s half/model.safetensors)" -lt $(($(stat -c %s exported/model.safetensors) * 6 / 10)) ]
mkdir -p box/build/release box/models/tiny
cp "$omni" box/build/release/omni
cp -r half box/models/tiny/bundle
box/build/release/omni sample --prompt 'a red chair' --out box.glb --temperature 1 >box.log 2>&1
check 'without --model the bundle beside the program is taken' grep -q 'model: .*box/models/tiny/bundle' box.log
check 'a bundle in bf16 makes meshes' [ -s box.glb ]
expect 2 'there already' checkpoint convert "$last" four/checkpoints/step-00000001
expect 4 'holds no checkpoint' checkpoint show nowhere
expect 2 'other things' checkpoint export "$last" run
printf 'x' | dd of="$last/shard-00000-of-00001.safetensors" bs=1 seek=5000 conv=notrunc 2>/dev/null
expect 1 "damaged: .$last/shard-00000-of-00001.safetensors" checkpoint verify run
expect 3 'checksum' sample --model "$last" --prompt 'a red chair' --out never.glb
rm "$last/manifest.json"
expect 1 "damaged: .$last/manifest.json. is missing" checkpoint verify "$last"

sample=(sample --model run/bundle --temperature 1)  # hardly trained, it has nothing else to tell apart
expect 0 'a.glb' "${sample[@]}" --prompt 'a red chair' --out a.glb --seed 5
expect 0 'b.glb' "${sample[@]}" --prompt 'a red chair' --out b.glb --seed 5
expect 0 'c.glb' "${sample[@]}" --prompt 'a red chair' --out c.glb --seed 6
check 'the same seed gives the same mesh' cmp -s a.glb b.glb
check 'another seed gives another mesh' [ -n "$(cmp a.glb c.glb)" ]
expect 0 'healthy +yes' mesh check a.glb
expect 0 'C.glb' "${sample[@]}" --prompt 'A Red CHAIR' --out C.glb --seed 5
check 'case does not matter' cmp -s a.glb C.glb
expect 0 'never held "zebra"' "${sample[@]}" --prompt 'a red zebra chair' --out a.glb --seed 5
expect 0 '"chiar" \(near: chair' "${sample[@]}" --prompt 'a red chiar' --out a.glb --seed 5
expect 2 'none of its words: "zebra", "unicorn".*chair' "${sample[@]}" --prompt 'a zebra unicorn' --out never.glb
expect 0 '' "${sample[@]}" --prompt 'a zebra unicorn' --any --out any.glb --seed 5
expect 2 'it is empty' "${sample[@]}" --prompt ' ' --out never.glb
expect 0 '^words .*chair' info bundle run/bundle
expect 2 'nothing to edit' "${sample[@]}" --instruction 'paint it blue' --out never.glb
expect 2 'was not trained to edit' "${sample[@]}" --mesh a.glb --instruction 'paint it blue' --out never.glb
expect 0 '^instructions: none' info bundle run/bundle
cp -r run/bundle editing  # as a stage that edits leaves it
sed -i 's/"instructions": {}/"instructions": {"shape+text->shape": {"add a {thing}": {"edits": 7, "example": "add a leg"}}}/' \
  editing/words.json
expect 0 'add a \{thing\} \(7\): add a leg' info bundle editing
edit=(sample --model editing --temperature 1 --mesh a.glb --seed 5)
expect 0 '"gnarled"' "${edit[@]}" --instruction 'make the chair gnarled' --out edited.glb
expect 0 '' "${edit[@]}" --prompt 'make the chair gnarled' --task 'shape+text->shape' --out named.glb
check 'an instruction names its task itself' cmp -s edited.glb named.glb
expect 2 'none of those by which the model edits' "${edit[@]}" --instruction 'a red chair' --out never.png
expect 2 'edits nothing' "${edit[@]}" --task 'text->shape' --instruction 'a red chair' --out never.glb
"${omni}" "${sample[@]}" --prompt 'a red chair' --out a.glb --seed 5 >/dev/null 2>&1
for format in obj ply stl; do expect 0 "a.$format" "${sample[@]}" --prompt 'a red chair' --out "a.$format" --seed 5; done
expect 0 '' "${sample[@]}" --prompt 'a red chair' --preview alone.png --seed 5
check 'a preview needs no mesh file' [ -s alone.png ]
expect 0 '' sample --model run/bundle --prompt 'a red chair' --image alone.png --guidance text=3,image=1.5 --temperature 0.5 \
  --top-k 20 --top-p 0.9 --min-p 0.01 --out guided.glb --seed 5 --faces 2000 --codes guided.json
expect 0 '' "${sample[@]}" --task 'two texts' --prompt 'a red chair' --prompt 'a seat' --out own.glb --seed 5
expect 2 "Did you mean \"two texts\"" "${sample[@]}" --task 'two text' --prompt 'a red chair' --out never.glb
expect 2 'two texts, text->image' "${sample[@]}" --task sculpture --prompt 'a red chair' --out never.glb
expect 4 "Did you mean \"run/bundle\"" sample --model run --prompt 'a red chair' --out never.glb
expect 2 'temperature' sample --model run/bundle --prompt 'a red chair' --out never.glb --temperature 1e9
expect 2 'guidance' "${sample[@]}" --prompt 'a red chair' --out never.glb --guidance=-1
expect 2 'text has two weights' "${sample[@]}" --prompt 'a red chair' --out never.glb --guidance text=3,text=2
absent never.glb

# Codes need no other file, of any task, and are read back to the same mesh.
decode=(tokenizer decode shape run/bundle/shape_tokenizer)
expect 0 '' "${sample[@]}" --prompt 'a red chair' --codes a.json --seed 5
expect 0 'saved: decoded.glb' "${decode[@]}" a.json --out decoded.glb
# Products of one shape and of a batch round alike on some processors alone.
same_mesh() {
  [ "$(stat -c %s "$1")" = "$(stat -c %s "$2")" ] || return 1
  cmp -s "$1" "$2" || "$omni" mesh compare "$1" "$2" | grep -qE '^surface IoU +1\.0000'
}
check 'decoded codes are the sampled mesh' same_mesh a.glb decoded.glb
expect 0 '' "${sample[@]}" --mesh a.glb --codes words.json
expect 0 'mesh: [0-9]+ triangles' "${decode[@]}" words.json --out given.glb
expect 0 '' "${sample[@]}" --task 'text->image' --prompt 'a red chair' --codes image.json
expect 3 'image.json.*none of its segments' "${decode[@]}" image.json --out never.glb
expect 0 '' "${sample[@]}" --prompt 'a red chair' --codes several.json --count 3 --batch 1
check 'each sample has its codes' [ "$(ls several_[012].json | wc -l)" = 3 ]
absent never.glb

# Standard output holds the result alone.
"${omni}" "${sample[@]}" --prompt 'a red chair' --seed 5 --out - >piped.glb 2>/dev/null
check 'a mesh on standard output is the same' cmp -s a.glb piped.glb
"${omni}" "${sample[@]}" --prompt 'a red chair' --seed 5 --codes - >piped.json 2>/dev/null
check 'codes on standard output are the same' cmp -s a.json piped.json
"${omni}" "${sample[@]}" --mesh a.glb --codes - --count 2 >lines.json 2>/dev/null
check 'several codes are a line each' [ "$(grep -c '^\[.*\]$' lines.json)" = 2 ]
check 'and texts are not among them' [ "$(wc -l <lines.json)" = 2 ]
expect 2 'standard output takes one sample' "${sample[@]}" --prompt 'a red chair' --out - --count 2
expect 2 'cannot both' "${sample[@]}" --prompt 'a red chair' --out - --codes -
expect 0 '' "${sample[@]}" --prompt 'a red chair' --preview preview.webp --seed 5
check 'a preview is what its ending says' [ "$(head -c 4 preview.webp)" = RIFF ]
expect 0 '' "${sample[@]}" --prompt 'a red chair' --turntable turning.png --seed 5
check 'a turntable is an animation' grep -q acTL turning.png
expect 2 'turntable.*\.png' "${sample[@]}" --prompt 'a red chair' --turntable turning.jpg
expect 2 'preview.gif' "${sample[@]}" --prompt 'a red chair' --preview preview.gif
absent ./-
expect 0 '' "${sample[@]}" --mesh a.glb --out words.txt
check 'a mesh is described' [ -e words.txt ]
expect 2 'no views' "${sample[@]}" --mesh a.glb --out view.png --task 'shape->image@view' --view 45,30
expect 4 '/proc/nowhere' "${sample[@]}" --prompt 'a red chair' --out /proc/nowhere/a.glb
absent view.png

# A tokenizer's training, stopped and gone on with, ends with the weights of one that was not.
stopped_and_resumed() {
  local name=$1 steps=$2
  shift 2
  expect 0 "$steps steps" "$@" --out "whole_$name"
  stop_after INT 130 30 "$name.metrics.jsonl" "$name.log" "$@" --out "$name"
  expect 2 "$name.checkpoint.safetensors.*--resume" "$@" --out "$name"
  expect 2 'another config: seed was 1 and is 9' "$@" --out "$name" --resume --set seed=9
  absent "$name"
  expect 0 "$steps steps" "$@" --out "$name" --resume
  check "a stopped $name ends with the same weights" cmp -s "whole_$name/weights.safetensors" "$name/weights.safetensors"
  check 'each step stands in its metrics once' [ "$(wc -l <"$name/metrics.jsonl")" = "$steps" ]
  absent "$name.metrics.jsonl"
  absent "$name.lock"
  expect 2 'that is finished.*--resume' "$@" --out "$name"
  expect 0 'the run was finished. Raise steps' "$@" --out "$name" --resume
  check "a finished $name stays as it was" cmp -s "whole_$name/weights.safetensors" "$name/weights.safetensors"
}
stopped_and_resumed shape 80 tokenizer train shape --set steps=80 --set objects=8 --set batch=2 --set near_points=64 \
  --set volume_points=32 --set log_steps=1 --set evaluation_objects=2 \
  --set 'grid.quantiser={kind: vq, codebook_size: 32, codebook_dim: 4}'
stopped_and_resumed image 80 tokenizer train image --set steps=80 --set batch_size=2 --set log_steps=1 --set data.objects=10 \
  --set 'network={image_size: 32, channels: 8, norm_groups: 4, z_channels: 16, codebook_size: 32}'
expect 0 'steps' tokenizer train image --out image --resume --set steps=1000000 --set minutes=0.02 --set batch_size=2 \
  --set data.objects=10 --set 'network={image_size: 32, channels: 8, norm_groups: 4, z_channels: 16, codebook_size: 32}'

expect 0 'saved: text.json' tokenizer train text --out text.json --set data.objects=50
expect 2 'that is finished' tokenizer train text --out text.json --set data.objects=50
expect 0 'the run was finished' tokenizer train text --out text.json --set data.objects=50 --resume auto

cp -r run/bundle broken
printf 'image_size: [\n' >broken/image_tokenizer/config.yaml
expect 3 'config.yaml:2:1: not valid YAML' sample --model broken --prompt 'a red chair' --out never.glb
absent never.glb
finish
