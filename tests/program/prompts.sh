#!/usr/bin/env bash
# A run over a file of prompts: what it leaves, that it goes on where it stopped, and what it refuses.
#   prompts.sh <omni> <bundle>
omni=$1 bundle=$2
. "$(dirname "$0")/prelude.sh"
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
expect 3 'results.jsonl.*:5: the line is cut off or damaged, and taken out: what it told of is made again' "${sample[@]}" --out run
check 'a run that went on makes the same' cmp table.glb run/table.glb
check 'what was done is not done again' [ -z "$(find run/chair.glb -newermt 2002-01-01)" ]
expect 3 '2 of 5 gave nothing' "${sample[@]}" --out run
check 'of a whole file nothing is said' eval '! grep damaged <<<"$("$omni" "${sample[@]}" --out run 2>&1)"'

# A result whose file was deleted is made again, and nothing else.
rm run/chair.glb
touch -d '2001-01-01' run/table.glb
expect 3 'chair.glb is gone' "${sample[@]}" --out run
check 'a deleted mesh is made again' cmp alone.glb run/chair.glb
check 'what is there stays' [ -z "$(find run/table.glb -newermt 2002-01-01)" ]
check 'no line stands there twice' [ "$(wc -l <run/results.jsonl)" = 5 ]

check 'a result tells its settings and times' python3 - run/results.jsonl <<'PYTHON'
import json, sys
lines = {line["name"]: line for line in map(json.loads, open(sys.argv[1]))}
for name in ("chair", "table", "00003-a-blue-mug"):
    settings = lines[name]["settings"]
    expected = {"device": "cpu", "precision": "fp32", "temperature": 0.0, "top_p": 1.0, "top_k": 0, "best_of": 1,
                "guidance_schedule": "constant"}
    assert settings.items() >= expected.items(), settings
    assert settings["resolution"] > 0 and settings["guidance"] == [1.0], settings
    assert lines[name]["drawing_seconds"] > 0 and lines[name]["meshing_seconds"] > 0
PYTHON

expect 2 'another run, whose temperature' "${sample[@]}" --out run --temperature 1
head -c 65537 /dev/zero | tr '\0' a >long.txt
expect 3 'p.*65537 bytes; 65536 are the most' sample --model "$bundle" --prompts long.txt --out long
expect 2 'reading the prompt: byte 5 is no UTF-8' \
  sample --model "$bundle" --prompt $'mug \xff' --out never.glb
expect 2 'reading the prompt: it has 65537 bytes; 65536 are the most' \
  sample --model "$bundle" --prompt "$(cat long.txt)" --out never.glb
expect 2 'neither a folder nor a public model. Those are cube3d-v0.5 and cube3d-v0.1' \
  sample --model cube3d-v0.6 --weights "$bundle" --prompt "a mug" --out never.glb

# A quote that is never closed costs its own line.
printf 'prompt,name\na red chair,first\n"a blue mug,second\na green table,third\n' >quote.csv
expect 3 'quote.csv:3: a quoted field is never closed' sample --model "$bundle" --prompts quote.csv --out quote
present quote/first.glb
present quote/third.glb

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
# Ctrl-C: what is whole stays, the rest is made by the same command, whose rate counts it alone. Of two prompts a batch,
# each the best of forty draws, most of the time is drawing's.
echo 'prompt,seed' >many.csv
for i in $(seq 6); do echo "a red chair,$i"; done >>many.csv
many=(sample --model "$bundle" --prompts many.csv --temperature 1 --best-of 40 --batch 80 --resolution 16 --out)
expect 0 '6/6 prompts' "${many[@]}" whole
absent whole/unfinished.jsonl
# Once more where it came between two batches.
for lines in 2 4; do
  "$omni" "${many[@]}" many >many.log 2>&1 &
  run=$!
  check 'the run has begun' wait_until has_lines many/results.jsonl "$lines"
  sleep 0.3
  kill -INT "$run"
  code=0
  wait "$run" || code=$?
  check 'Ctrl-C ends with 130' [ "$code" = 130 ]
  [ ! -e many/unfinished.jsonl ] || break
done
check 'it tells how to go on' grep -qE 'interrupted; [0-9]+ of 6 are done. The same command goes on' many.log
done_before=$(wc -l <many/results.jsonl)
check 'meshes of whole samples are there' [ "$(ls many/*.glb | wc -l)" = "$done_before" ]
present many/unfinished.jsonl
cp -r many damaged
cp -r many changed
# same_samples FOLDER: codes and log-probabilities are those of the run that nothing interrupted.
same_samples() {
  python3 - "$1" whole <<'PYTHON'
import json, sys
results = [{line["name"]: (line["log_probability"], open(f"{folder}/{line['codes']}", "rb").read())
            for line in map(json.loads, open(f"{folder}/results.jsonl"))} for folder in sys.argv[1:]]
assert len(results[0]) == 6 and results[0] == results[1]
PYTHON
}
expect 0 'unfinished.jsonl.*draws go on where the run before was stopped' "${many[@]}" many
check 'the rest is made as if nothing had interrupted it' same_samples many
absent many/unfinished.jsonl
expect 0 '6/6 prompts, 0.00/s' "${many[@]}" many
# Where what was drawn belongs to lines that are no longer asked for, it is said; it goes once the others are made.
head -n $((done_before + 1)) many.csv >fewer.csv
expect 0 'unfinished.jsonl.* of no sample that is asked for now' "${many[@]/many.csv/fewer.csv}" changed
absent changed/unfinished.jsonl
# Killed while meshes of the first batch may still be made: what is drawn of it is there.
"$omni" "${many[@]}" killed >killed.log 2>&1 &
run=$!
check 'the run has begun' wait_until has_lines killed/results.jsonl 1
kill -KILL "$run"
wait "$run" 2>/dev/null
present killed/unfinished.jsonl
expect 0 '6/6 prompts' "${many[@]}" killed
check 'a killed run goes on as if nothing had happened' same_samples killed
absent killed/unfinished.jsonl
expect 2 'another run, whose temperature' "${many[@]}" damaged --temperature 0.9
truncate -s -20 damaged/unfinished.jsonl
expect 0 'unfinished.jsonl.*the draw of line [0-9]+ is damaged: drawn anew' "${many[@]}" damaged
check 'a draw that broke off is made anew' same_samples damaged
absent damaged/unfinished.jsonl
expect 0 '' sample --model "$bundle" --prompts q.txt --task 'text->image' --out pictures
present pictures/00001-a-table.png
finish
