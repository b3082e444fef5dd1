#!/usr/bin/env bash
# What several ranks are told of mistakes: a clear error, once, and nothing is written. And what ranks other than the
# first say of a run that goes well: nothing.
#   distributed_input.sh <omni> <models/tiny> <token shards>
set -uo pipefail
. "$(dirname "$0")/rank_runs.sh"

# refused CODE 'REGEX' ARGUMENTS...: the whole output is one error; the folder 'never' is not there.
refused() {
  local code=$1 pattern=$2 actual=0
  shift 2
  "$omni" "$@" --out never >refused.log 2>&1 || actual=$?
  check "omni $* ends with $code, not $actual" [ "$actual" = "$code" ]
  expect_one_error refused.log "$pattern"
  check "nothing else is said: $(cat refused.log)" [ "$(wc -l <refused.log)" = 1 ]
  absent never
}
refused 2 'training with 5 ranks: a step has 4 micro-batches' pretrain stage.yaml --devices 5
refused 2 "'tokens_per_step' \(1000\) must be a multiple" pretrain stage.yaml --devices 4 --set tokens_per_step=1000
refused 2 '--devices 4096: this host has .* at most' pretrain stage.yaml --devices 4096
refused 2 'on the device cuda: .*(no GPU|plug-in)|--devices 4096: this host shows [0-9]+ GPU' pretrain stage.yaml \
  --devices 4096 --set device=cuda
if [ -n "${HOST_GPU-}" ]; then
  kinds=('90 NVIDIA H100' '80 NVIDIA A100')
  export LD_PRELOAD=$HOST_GPU OMNI_CUDA_PLUGIN=$HOST_GPU_PLUGIN
  refused 2 '--devices 8: this host shows 1 GPU. Give at most that' pretrain stage.yaml --devices 8 --set device=cuda
  export OMNI_HOST_GPU_KIND='75 Tesla T4'
  refused 2 'training on GPU 0, Tesla T4 \(sm_75\): .* need a GPU of sm_80' pretrain stage.yaml --set device=cuda
  unset OMNI_HOST_GPU_KIND
  # One GPU on each of two hosts, of two kinds.
  port=$(free_port) ranks=()
  for rank in 0 1; do
    OMNI_HOST_GPU_KIND=${kinds[rank]} OMNI_NCCL=$NCCL_LIBRARY RANK=$rank WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 \
      MASTER_ADDR=127.0.0.1 MASTER_PORT=$port "$omni" pretrain stage.yaml --out never --set device=cuda >never.$rank.log 2>&1 &
    ranks+=($!)
  done
  for rank in 0 1; do
    expect_end "${ranks[rank]}" 2 "rank $rank"
    expect_one_error "never.$rank.log" \
      "differ in 'kind of GPU': rank 0 .* has NVIDIA H100 \(sm_90\), rank 1 .* has NVIDIA A100 \(sm_80\)"
  done
  absent never
  unset LD_PRELOAD OMNI_CUDA_PLUGIN
fi
refused 4 "checkpoints of .* take .* its disk has" pretrain stage.yaml --devices 4 --set checkpoint_steps=1 \
  --set steps=1000000000 --set checkpoints_kept=1000000
refused 4 "missing" pretrain stage.yaml --devices 4 --set 'shards=[missing]'

# Each rank that was started by itself is told, what differs and where.
host=$(uname -n)
more_1=(--set seed=2)
start_ranks 4 never
for rank in 0 1 2 3; do
  expect_end "${ranks[rank]}" 2 "rank $rank"
  expect_one_error "never.$rank.log" "differ in 'seed': ranks 0, 2 and 3 \($host, ...\) have 1, rank 1 \($host\) has 2"
done
absent never
unset more_1
# Paths that are the same, with other content on another host.
mkdir here there
cp -r "$shards" here/tokens
expect 0 '5 objects' data tokenize --count 5 --views 2 --text-tokenizer "$tokenizers/text_tokenizer.json" \
  --image-tokenizer "$tokenizers/image_tokenizer" --shape-tokenizer "$tokenizers/shape_tokenizer" --out there/tokens
port=$(free_port) rank=0 ranks=()
for place in here there; do
  (
    cd $place
    RANK=$rank WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
      exec "$omni" pretrain ../stage.yaml --out "$work/never" --set 'shards=[tokens]'
  ) >never.$rank.log 2>&1 &
  ranks+=($!) rank=$((rank + 1))
done
for rank in 0 1; do
  expect_end "${ranks[rank]}" 2 "rank $rank"
  expect_one_error "never.$rank.log" "differ in 'content of shards'"
done
absent never

# A folder in use, and a stage's start that another stage made.
"$omni" pretrain stage.yaml --out used --devices 2 --set steps=1000000 >used.log 2>&1 &
run=$!
check 'the run is under way' wait_until has_lines used/metrics.jsonl 1
"$omni" pretrain stage.yaml --out used --devices 2 --resume auto >second.log 2>&1
check 'a second run ends with 2' [ $? = 2 ]
expect_one_error second.log "training into 'used'.*in use by process $(process_of 0 "$run")"
kill -TERM "$run"
expect_end "$run" 75 'the first run'
check 'it was left alone' has_text 'stopped after step' used.log
expect 0 '' checkpoint export used start
write_later_stage continue.yaml continue start
write_later_stage finetune.yaml finetune start
refused 2 "made by 'omni pretrain', and 'omni finetune' starts from a bundle of 'omni continue'" finetune finetune.yaml --devices 4

# The first rank speaks for all, unless told otherwise.
"$omni" continue continue.yaml --out quiet --devices 4 >quiet.log 2>&1
check "a run that goes well is told by its first rank: $(cat quiet.log)" [ "$(grep -c '^\[rank' quiet.log)" = 0 ]
check "which tells it: $(cat quiet.log)" [ "$(grep -c '^info: the vocabulary grows' quiet.log)" = 1 ]
"$omni" continue continue.yaml --out loud --devices 4 --log info >loud.log 2>&1
for rank in 1 2 3; do
  check "rank $rank is marked: $(cat loud.log)" has_text "^\[rank $rank\] info: the vocabulary grows" loud.log
done
finish
