# Sourced by the scripts of this folder that run several ranks of a stage, with their arguments: <omni> <models/tiny>
# <token shards>. Leaves them in a folder of their own with stage.yaml.
omni=$1 tokenizers=$2 shards=$3
. "$(dirname "$0")/expectations.sh"
export OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A short run of 60 steps, four micro-batches each, that saves itself every third step.
write_stage() {
  cat >"$1" <<YAML
stage: pretrain
output: run
tokenizers:
  text: $tokenizers/text_tokenizer.json
  image: $tokenizers/image_tokenizer
  shape: $tokenizers/shape_tokenizer
text_capacity: 40
shards: [$shards]
model: {width: 64, single_blocks: 2, heads: 2}
mixture: {text->shape: 1, image->shape: 1}
tokens_per_step: 1024
tokens_per_micro_batch: 256
steps: 60
precision: bf16
muon: {enabled: true}
log_steps: 4
checkpoint_steps: 3
checkpoints_kept: 2
YAML
}
# write_later_stage FILE STAGE BUNDLE: one that starts from it.
write_later_stage() {
  cat >"$1" <<YAML
stage: $2
output: run
start_bundle: $3
shards: [$shards]
mixture: {text->shape: 1}
tokens_per_step: 1024
tokens_per_micro_batch: 256
steps: 2
YAML
}

# What of a run must repeat itself, in one line each.
result() {
  cksum <"$1/bundle/model.safetensors"
  (cd "$1/checkpoints/step-00000060" && cksum shard-*)
  grep -oE '"(step|progress|loss[^"]*|accuracy[^"]*|tokens|learning_rate|gradient_norm)":[^,}]*' "$1/metrics.jsonl" | cksum
}
expect_same_result() {
  check "weights, moments and metrics of $2 are those of the undisturbed run:
$(diff <(result "$1") <(result "$2"))" [ "$(result "$1")" = "$(result "$2")" ]
}

has_text() { grep -qE -- "$1" "$2"; }
has_ended() { ! kill -0 "$1" 2>/dev/null; }

# process_of RANK LAUNCHER: the rank's process among the children of what has started it.
process_of() {
  local process
  for process in $(pgrep -P "$2"); do
    if tr '\0' '\n' <"/proc/$process/environ" | grep -qx "RANK=$1"; then echo "$process"; fi
  done
}

# A port of this host at which nobody listens.
free_port() {
  local port
  while :; do
    port=$((30000 + RANDOM % 2000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
  done
  echo "$port"
}

# start_ranks COUNT FOLDER ARGUMENTS...: so many ranks of stage.yaml by plain variables, with what `more_RANK` holds
# beside; their processes in `ranks`, what they say in FOLDER.RANK.log.
start_ranks() {
  local count=$1 folder=$2 port rank more
  shift 2
  port=$(free_port)
  ranks=()
  for rank in $(seq 0 $((count - 1))); do
    more="more_$rank[@]"
    RANK=$rank WORLD_SIZE=$count MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
      "$omni" pretrain stage.yaml --out "$folder" "$@" "${!more}" >"$folder.$rank.log" 2>&1 &
    ranks+=($!)
  done
}
# expect_end PROCESS CODE WHAT
expect_end() {
  local code=0
  check "$3 ends" wait_until has_ended "$1" || kill -KILL "$1"
  wait "$1" || code=$?
  check "$3 ends with $2, not $code" [ "$code" = "$2" ]
}
# expect_one_error LOG 'REGEX': the one error that the log tells.
expect_one_error() {
  check "'$1' tells one error: $(cat "$1")" [ "$(grep -cE '(^|\] )omni: ' "$1")" = 1 ]
  check "'$1' tells /$2/: $(cat "$1")" grep -qE "^omni: .*$2" "$1"
}
cd "$work"
write_stage stage.yaml
