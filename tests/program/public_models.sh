#!/usr/bin/env bash
# Public models: exit codes and messages of import, model verify and info model, from small reference cases.
#   public_models.sh <omni> <fixtures>
omni=$1 fixtures=$2
. "$(dirname "$0")/prelude.sh"
qwen=$fixtures/public/qwen3 clip=$fixtures/public/clip gpt=$fixtures/tiny/cube3d/gpt
weights=model.safetensors
# case FOLDER [FILE]: the options that name a reference case.
case_of() { printf -- '--weights %s --config %s --expected %s' "$1/${2:-$weights}" "$1/config.json" "$1/expected.safetensors"; }
cube_case=$(case_of "$gpt" shape_gpt.safetensors)

expect 0 '24 of 24 tokens equal' model verify qwen3 $(case_of "$qwen")
expect 0 'text_ids: .* tokens equal' model verify qwen3 $(case_of "$qwen") --tokenizer "$qwen/tokenizer.json"
expect 0 'vision_pooler_output: largest difference' model verify clip $(case_of "$clip") --tokenizer "$clip/tokenizer.json"
expect 0 '^PASS$' model verify cube3d $cube_case
expect 0 'greedy_ids_reference_cached: 24 of 24' model verify cube3d $cube_case --reference-cache
# In a folder they are found by their published names, as import finds them.
expect 0 '^PASS$' model verify cube3d --weights "$gpt" --config "$gpt/config.json" --expected "$gpt/expected.safetensors"
expect 4 'absent.: there is no such file or folder' model verify cube3d $cube_case --text absent
# The wrong tokenizer, the wrong activation: the answer is no.
expect 1 'the first other one: row' model verify qwen3 $(case_of "$qwen") --tokenizer "$clip/tokenizer.json"
cp -r "$clip" wrong
sed -i 's/quick_gelu/gelu/' wrong/config.json
expect 1 '^FAIL$' model verify clip $(case_of wrong)
# What does not belong together, is broken or absent.
expect 3 "'model.embed_tokens.weight' is missing.*expects it in the shape" model verify qwen3 --weights "$clip/$weights" \
  --config "$qwen/config.json" --expected "$qwen/expected.safetensors"
expect 3 "'input_ids' is missing" model verify qwen3 --weights "$qwen" --config "$qwen/config.json" --expected "$qwen/$weights"
expect 4 'absent' model verify clip --weights absent --config "$clip/config.json" --expected "$clip/expected.safetensors"
head -c 100000 "$qwen/$weights" >short.safetensors
expect 3 'short.safetensors.*reaches outside' import qwen3 short.safetensors --config "$qwen/config.json" --out never
echo '{"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}' >model.safetensors.index.json
expect 4 "'model-00001-of-00002.safetensors', which is not there" import qwen3 . --config "$qwen/config.json" --out never
absent never

expect 0 'million parameters' import qwen3 "$qwen" --out qwen3
present qwen3/public.yaml
present qwen3/tokenizer.json
expect 0 '^PASS$' model verify qwen3 --weights qwen3 --config "$qwen/config.json" --expected "$qwen/expected.safetensors"
expect 0 'million parameters' import clip "$clip/$weights" --text-alone --out text
expect 3 'the text tower has the width 32, the GPT expects 16' import cube3d "$gpt/shape_gpt.safetensors" \
  --config "$gpt/config.json" --text text --out never
absent never
expect 0 'a fresh projection of texts, 32 numbers a token' import cube3d "$gpt/shape_gpt.safetensors" \
  --config "$gpt/config.json" --text qwen3 --out cube3d
present cube3d/text/public.yaml
expect 3 'of the family cube3d, not clip' import cube3d "$gpt/shape_gpt.safetensors" --config "$gpt/config.json" --text cube3d --out never
absent never
# Imported folders are told of like bundles; a file of weights by what it is.
expect 0 'in all +[0-9]+ +24 tensors' info model qwen3
expect 0 'text tower +2 blocks' info model text
# 77 rows of a text, the box and the start; no shape tokenizer tells how many codes.
for what in bundle model; do expect 0 'text tower +Qwen3, 2 blocks, width 32, MLP 72, 4 heads' info $what cube3d; done
expect 0 'context +79 tokens' info model cube3d
expect 0 'public model +Qwen3, .* million' info bundle qwen3
expect 2 'it is a file of weights' info model "$qwen/$weights"
expect 2 'it is a file of weights' info bundle "$qwen/$weights"
# What is still to be imported says how.
for what in bundle model; do
  expect 2 "holds a Qwen3 as it was published. Name the folder that .omni import qwen3 $qwen --out FOLDER. makes" info $what "$qwen"
  expect 2 "omni import clip $clip --out FOLDER" info $what "$clip"
  expect 2 "omni import cube3d $gpt --text CLIP --out FOLDER" info $what "$gpt"
done
sed 's/"num_experts": *[0-9]*,//; s/{/{"num_experts": 8,/' "$qwen/config.json" >experts.json
expect 3 'experts.json.*num_experts is 8' import qwen3 "$qwen" --config experts.json --out never
absent never
mkdir mine
echo mine >mine/mine.txt
expect 2 'mine' import qwen3 "$qwen" --out mine
present mine/mine.txt

configs=$(cd "$(dirname "$0")/../../configs/model" && pwd)
expect 0 'in all +596049920' info model "$configs/qwen3_0_6b.yaml"
expect 0 '611 tensors' info model "$configs/cube3d_v0_5.yaml"
for config in "$configs"/*.yaml; do expect 0 'MFLOPs' info model "$config"; done
echo 'transformer: {widht: 3}' >typing.yaml
expect 2 "typing.yaml.*'width'" info model typing.yaml

finish
