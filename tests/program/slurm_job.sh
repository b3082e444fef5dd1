#!/usr/bin/env bash
# The Slurm script with a stand-in for srun, on two "nodes" of one rank each: it trains as one rank does, a signal before
# the end of its time puts it back into the queue, and the next attempt goes on.
#   slurm_job.sh <omni> <models/tiny> <token shards>
set -uo pipefail
. "$(dirname "$0")/rank_runs.sh"
here=$(cd "$OLDPWD" && cd "$(dirname "$0")" && pwd)
script=$here/../../tools/slurm/train.sbatch
export PATH=$here/slurm:$PATH OMNI=$omni STEP_NODES=2

# job ID ARGUMENTS...: what sbatch runs.
job() {
  local id=$1
  shift
  SLURM_JOB_ID=$id SLURM_JOB_NODELIST=elsewhere SLURM_NTASKS=99 SLURM_CPUS_PER_TASK=12 bash "$script" "$@"
}
numbers() { grep -oE '"(step|tokens|loss)":[^,}]*' "$1/metrics.jsonl"; }
# Equal steps and tokens, losses within 1e-4.
same_run() {
  paste <(numbers "$1") <(numbers "$2") | awk -F'[:\t]' \
    '{ if ($1 != $3 || ($2 - $4) ^ 2 > (1e-4 * $4) ^ 2) bad = 1 } END { exit bad || NR < 6 }'
}
three=(--set steps=3 --set log_steps=1 --set checkpoint_steps=0 --set precision=fp32 --set muon.enabled=false)

expect 0 '^pretrain: 3 steps' pretrain stage.yaml --out alone "${three[@]}"
code=0
job $((10000 + RANDOM)) pretrain stage.yaml --out job "${three[@]}" >job.log 2>&1 || code=$?
check "the job ends well: $(cat job.log)" [ $code = 0 ]
check "one rank tells of it: $(cat job.log)" [ "$(grep -c '^pretrain: 3 steps' job.log)" = 1 ]
check "it is the run of one rank: $(paste <(numbers job) <(numbers alone))" same_run job alone
check 'two ranks have written its checkpoint' test -s job/checkpoints/step-00000003/shard-00001-of-00002.safetensors
check "each rank gets its cores, not $(cat task.cores)" [ "$(cat task.cores)" = 12 ]
absent scontrol.log

# The signal before its time is over, to the step as --signal=USR1@300 sends it.
id=$((20000 + RANDOM))
job $id pretrain stage.yaml --out long --set steps=60 >long.log 2>&1 &
run=$!
check "the job is under way: $(cat long.log)" wait_until has_lines long/metrics.jsonl 2
kill -USR1 "$(cat srun.pid)"
expect_end "$run" 75 'the job'
check "it asks to be queued again: $(cat scontrol.log)" [ "$(cat scontrol.log)" = "requeue $id" ]
check "it says where it stopped: $(cat long.log)" has_text 'stopped after step [0-9]+; a checkpoint is in' long.log
code=0
job $id pretrain stage.yaml --out long --set steps=60 >again.log 2>&1 || code=$?
check "the next attempt ends well: $(cat again.log)" [ $code = 0 ]
check "it goes on: $(cat again.log)" has_text "resuming from 'long/checkpoints/step-0" again.log
code=0
"$omni" pretrain stage.yaml --out whole --devices 2 >whole.log 2>&1 || code=$?
check "the undisturbed run ends well: $(cat whole.log)" [ $code = 0 ]
expect_same_result whole long

# A rank that dies takes the job with it, which is not queued again.
job $((30000 + RANDOM)) pretrain stage.yaml --out lost --set steps=100000 >lost.log 2>&1 &
run=$!
check "the job is under way: $(cat lost.log)" wait_until has_lines lost/metrics.jsonl 1
kill -KILL "$(cut -d' ' -f2 task.pids)"
code=0
check 'the job ends' wait_until has_ended "$run"
wait "$run" || code=$?
check 'the job fails for good' [ "$code" = 137 ]
check "one rank tells of the other: $(cat lost.log)" has_text 'omni: rank 1 on .* is gone' lost.log
check 'nothing else was queued' [ "$(wc -l <scontrol.log)" = 1 ]
finish
