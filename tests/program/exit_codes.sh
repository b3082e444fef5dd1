#!/usr/bin/env bash
# What scripts rely on: exit codes, messages, and that a refused command leaves nothing behind.
#   exit_codes.sh <omni> <fixtures>
omni=$1 fixtures=$2
. "$(dirname "$0")/prelude.sh"
# A closed tetrahedron, the same with a face missing, and noise.
cat >closed.obj <<'OBJ'
v 0 0 0
v 1 0 0
v 0 1 0
v 0 0 1
f 1 3 2
f 1 2 4
f 2 3 4
f 3 1 4
OBJ
sed '$d' closed.obj >open.obj
head -c 300 /dev/urandom >noise.glb
mkdir -p meshes/inner
cp closed.obj meshes/old_chair.obj
cat >stage.yaml <<'YAML'
stage: pretrain
model:
  widht: 64
YAML

expect 0 'omni [0-9]' --version
expect 0 'pretrain' --help
expect 0 'pretrain' # nothing asked for
expect 2 "no command 'pretrian'. Did you mean 'pretrain'" pretrian config.yaml
expect 0 'LibTorch|libtorch' info system

expect 0 'closed' mesh check closed.obj
expect 1 'open|boundary|closed' mesh check open.obj
expect 3 'noise.glb' mesh check noise.glb
expect 4 'absent.glb' mesh check absent.glb
expect 3 'noise.glb' mesh check closed.obj noise.glb open.obj
expect 0 '' mesh convert closed.obj out.ply
expect 0 'closed' mesh check out.ply
expect 3 'noise.glb' mesh convert noise.glb never.obj
expect 4 'absent.glb' mesh convert absent.glb never.obj
expect 2 'never.xyz|xyz' mesh convert closed.obj never.xyz
expect 0 '' mesh render closed.obj --views 1 --azimuth 45 --elevation 30 --size 64 --out view.png
expect 2 "^omni: --azimuth must be a number, not 'nan'$" mesh render closed.obj --azimuth nan --out never.png
absent never.png
# Pictures are written by their ending or not at all, and standard output holds the result alone.
expect 0 '' mesh render closed.obj --views 1 --size 64 --out view.jpg
check 'a .jpg file is JPEG' [ "$(head -c 2 view.jpg | od -An -tx1)" = ' ff d8' ]
expect 2 'never.bmp.*bmp' mesh render closed.obj --views 1 --size 64 --out never.bmp
expect 2 '--format' mesh render closed.obj --views 1 --size 64 --out never.png --format jpg
absent never.bmp
absent never.png
"$omni" mesh render closed.obj --views 1 --azimuth 45 --elevation 30 --size 64 --out - >piped.png
check 'a picture on standard output is the same' cmp -s view.png piped.png
expect 0 '' mesh render closed.obj --views 3 --size 64 --out sheet.png
check 'a sheet of three has labels below' [ "$(od -An -tu1 -j16 -N8 sheet.png | xargs)" = '0 0 0 200 0 0 0 76' ]
expect 0 '' mesh render closed.obj --turntable --frames 3 --size 32 --out turn.png
check 'a turntable is an animation' grep -q acTL turn.png
expect 2 'never.jpg' mesh render closed.obj --turntable --out never.jpg
expect 2 'too many' mesh render closed.obj --turntable --frames 360 --size 2048 --out never.png
absent never.png
"$omni" mesh convert closed.obj - --format ply >piped.ply
check 'a mesh on standard output is the same' cmp -s out.ply piped.ply
absent ./-
expect 0 'volume IoU +1.0000' mesh compare closed.obj out.ply --points 500 --grid 16
expect 0 'CD-L1 +0\.[0-9]+ +0\.[0-9]+$' mesh compare open.obj closed.obj --points 500 --grid 16
expect 0 '4 -> 4 triangles, closed and manifold' mesh simplify closed.obj simple.stl --faces 4
expect 0 'closed' mesh check simple.stl
expect 4 'absent.glb' mesh compare closed.obj absent.glb
absent never.obj
absent never.xyz

expect 2 'stage.yaml:3:[0-9]+.*widht.*width' pretrain stage.yaml --dry-run
expect 4 'absent.yaml' pretrain absent.yaml
expect 4 'absent' sample --model absent --prompt 'a chair' --out never.glb
expect 2 'no --model is given|what to make' sample --prompt 'a chair'
expect 2 'what to make' sample --model absent --prompt 'a chair'
expect 2 'nothing is given.*--prompt.*--out' sample --model absent
expect 0 'Conditions:' sample --help
expect 2 '--seed.*-1' sample --model absent --prompt 'a chair' --out never.glb --seed -1
expect 2 '--faces.*-5' sample --model absent --prompt 'a chair' --out never.glb --faces -5
absent never.glb

# A full disk behind standard output is no success, and nobody's files are replaced by a data set.
full=0
"$omni" info system >/dev/full 2>/dev/null || full=$?
check "a full disk behind standard output ends with 4, not $full" [ "$full" = 4 ]
mkdir thesis
echo years >thesis/text
expect 2 'thesis.*other things' data synth --out thesis --count 1 --no-renders
check 'the folder is as it was' [ "$(cat thesis/text)" = years ]
expect 0 '2 objects' data synth --out world --count 2 --no-renders
expect 0 '3 objects' data synth --out world --count 3 --no-renders

# Objects come from the procedural world, from a data set or from mesh files, all by --source.
expect 4 'no captions file.*--captions names' data import meshes --out imported_set
expect 0 'imported_set: 1 objects' data import meshes --captions names --out imported_set
expect 2 'share.*nan' data import meshes --captions names --out never --held-out-share nan
absent never
check 'six objects are drawn, not one of every class' \
  [ "$("$omni" data preview --by-class --count 6 --size 16 --captions --out six.png 2>/dev/null | wc -l)" = 6 ]
for source in world imported_set meshes; do
  expect 0 '' data preview --source $source --count 2 --size 16 --out preview_$source.png
  present preview_$source.png
done
expect 0 '' data preview --dataset world --count 2 --size 16 --out preview.png # an older spelling
expect 4 'procedral.*"procedural"' data preview --source procedral --out never.png
mkdir -p nothing
expect 3 'nothing.*empty' data preview --source nothing --out never.png
expect 3 'thesis.*neither a data set' data preview --source thesis --out never.png
expect 2 'held-out split' tokenizer train shape --source meshes --out never --set steps=1
absent never.png

expect 2 'nothing says where to write' tokenizer train text --set data.objects=50
expect 0 'saved: by_key.json' tokenizer train text --set data.objects=50 --set output=by_key.json
expect 0 'saved: new/folder/text.json' tokenizer train text --out new/folder/text.json --set data.objects=50

tokenizer=$fixtures/tiny/cube3d/tokenizer
weights=$tokenizer/shape_tokenizer.safetensors
expect 0 '8 codes of 32' tokenizer import cube3d "$weights" --out imported
expect 0 'geometry' tokenizer encode shape imported closed.obj
cp closed.obj meshes/one.obj
cp closed.obj meshes/inner/two.obj
rm meshes/old_chair.obj
expect 3 'nothing.*no mesh' tokenizer encode shape imported nothing --out codes
expect 3 'nothing.*no file of codes' tokenizer decode shape imported nothing --out decoded
expect 0 '2 files: 2 converted, 0 there' tokenizer encode shape imported meshes --out codes --format npy
cp noise.glb meshes/noise.glb
expect 3 'noise.glb.*skipped' tokenizer encode shape imported meshes --out codes --format npy
expect 3 '3 files: 0 converted, 2 there already, 1 skipped' tokenizer encode shape imported meshes --out codes --format npy
absent codes/noise.npy
expect 0 '1 files: 1 converted' tokenizer encode shape imported meshes/inner --out codes_bf16 --precision bf16
expect 0 '2 objects, 1 skipped' tokenizer eval shape imported --meshes meshes --out evaluation --pictures 1
present evaluation/report.html
present evaluation/sheet.png
expect 0 '2 objects, 1 skipped' tokenizer eval shape imported --meshes meshes --out evaluation --pictures 0
expect 2 'ending' tokenizer encode shape imported closed.obj --out codes.txt
absent codes.txt
cp out.ply meshes/one.ply
expect 2 'one.obj and one.ply' tokenizer encode shape imported meshes --out codes
expect 0 'indices: 100.0000 % equal.*' tokenizer verify cube3d --weights "$weights" --config "$tokenizer/config.json" \
  --expected "$tokenizer/expected.safetensors"
expect 3 'noise.glb' tokenizer import cube3d noise.glb --out never
expect 3 "'surface' is missing" tokenizer verify cube3d --weights "$weights" --config "$tokenizer/config.json" --expected "$weights"
absent never

# What is no checkpoint is not a damaged one; one that lost its manifest is, by its name or by its shards.
mkdir -p plain run/checkpoints run/step-00000003 lost nothing
touch plain/notes.txt lost/shard-00000-of-00002.safetensors
for folder in plain nothing run closed.obj; do
  for command in show verify; do
    expect 4 ".$folder. holds no checkpoint: no folder with manifest.json and shard-00000-of-.*step-00001000" checkpoint "$command" "$folder"
  done
done
for folder in run/step-00000003 run/step-00000003/ lost; do
  expect 1 "damaged: .*manifest.json. is missing" checkpoint verify "$folder"
done

finish
