#!/usr/bin/env bash
# A run over a file of prompts: what it leaves, that it goes on where it stopped, and what it refuses.
#   prompts.sh <omni> <bundle>
set -uo pipefail
omni=$1 bundle=$2
. "$(dirname "$0")/expectations.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >p.csv <<'CSV'
prompt,name,seed
a red chair,chair,3
a blue mug,,
ragged
qqq zzz,nothing,
a green table,table,
CSV
sample=(sample --model "$bundle" --prompts p.csv)

expect 2 'folder.*--out' "${sample[@]}"
expect 2 'prompts.doc' sample --model "$bundle" --prompts prompts.doc --out never
expect 2 '--prompt' sample --model "$bundle" --prompts p.csv --prompt "a mug" --out never
expect 2 'makes no .txt' "${sample[@]}" --task 'text->shape' --format txt --out never
expect 2 'guidance' "${sample[@]}" --guidance depth=2 --out never
expect 2 'codes' "${sample[@]}" --codes never.json --out never
absent never
mkdir full && touch full/index.html
expect 2 'holds .index.html' "${sample[@]}" --out full
expect 3 '2 of 5 gave nothing' "${sample[@]}" --out run
for file in run.json results.jsonl index.html chair.glb chair.png chair.npy 00003-a-blue-mug.glb table.glb; do
  present "run/$file"
done
check 'a line per prompt' [ "$(wc -l <run/results.jsonl)" = 5 ]
check 'the page shows the prompts' grep -q 'a blue mug' run/index.html
expect 0 '' sample --model "$bundle" --prompt "a red chair" --seed 3 --out alone.glb
check "a file's prompt gives what the prompt alone gives" cmp alone.glb run/chair.glb

# Cut off in its last line: that one is made again, and nothing else.
cp run/table.glb table.glb
head -c $(($(head -n 4 run/results.jsonl | wc -c) + 10)) run/results.jsonl >cut && mv cut run/results.jsonl
rm run/table.glb
touch -d '2001-01-01' run/chair.glb
expect 3 '2 of 5 gave nothing' "${sample[@]}" --out run
check 'a run that went on makes the same' cmp table.glb run/table.glb
check 'what was done is not done again' [ -z "$(find run/chair.glb -newermt 2002-01-01)" ]
expect 3 '2 of 5 gave nothing' "${sample[@]}" --out run

expect 2 'another run, whose temperature' "${sample[@]}" --out run --temperature 1
printf 'a table\n' >q.txt
sed -i 's/a red chair/a grey chair/' p.csv
expect 2 'chair.*another prompt' "${sample[@]}" --out run
expect 0 '' sample --model "$bundle" --prompts q.txt --out run
# Several samples each: a run that was stopped between them makes those that are missing.
expect 0 '' sample --model "$bundle" --prompts q.txt --count 3 --out several
head -n 1 several/results.jsonl >first && mv first several/results.jsonl
expect 0 '' sample --model "$bundle" --prompts q.txt --count 3 --out several
check 'no sample stands there twice' [ "$(wc -l <several/results.jsonl)" = 3 ]
present several/00001-a-table.2.glb
expect 0 '' sample --model "$bundle" --prompts q.txt --task 'text->image' --out pictures
present pictures/00001-a-table.png
finish
