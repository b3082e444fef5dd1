#!/usr/bin/env bash
# Runs what tools/package.sh --tests packed on this machine's GPU and writes one report: report.md to read, report.json to
# compare. It needs a GPU with its driver and a LibTorch (OMNI_LIBTORCH, or a python3 with torch), no compiler and no network,
# and ends within nine minutes. What fails or hangs is reported and does not stop the rest.
#   tools/gpu-report.sh --program ARCHIVE [--only PART]... [--cpu] [--out DIR]
#     --program  the archive, or the folder that it was unpacked to
#     --only     one part, within four minutes; may be given several times. The parts, in their order:
#                  kernels            tests of the GPU kernels
#                  model              tests of model, training and sampling: the device against the processor
#                  program            the program itself: training and sampling on the device
#                  training           training steps, beside PyTorch where a python3 with torch is found
#                  decoding           decoding, step by step and in stretches, beside PyTorch likewise
#                  kernel-benchmarks  the kernels against LibTorch's calls
#                  cube3d             a text to a mesh with a Cube3D of random weights, where a python3 with numpy and 8 GB
#                                     of memory and of disk are there and the parts before it left the time
#     --cpu      a rehearsal on the processor, with small shapes; needs no GPU
#     --out      where the report goes (default: out/gpu-report)
# OMNI_CUDA_PLUGIN names another libomni_cuda.so than the archive's, OMNI_REPORT_STEP_SECONDS the time of each benchmark.
# Exits 1 where something failed.
set -uo pipefail

TOTAL_SECONDS=530
ALONE_SECONDS=230
PARTS="kernels model program training decoding kernel-benchmarks cube3d"

program="" device=cuda out=out/gpu-report only=""
fail_usage() { echo "gpu-report.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case "$1" in
    --cpu) device=cpu ;;
    --program | --only | --out)
      [ $# -ge 2 ] || fail_usage "$1 needs a value"
      case "$1" in
        --program) program=$2 ;;
        --out) out=$2 ;;
        --only) [[ " $PARTS " == *" $2 "* ]] || fail_usage "no part is called '$2'. Parts: $PARTS"; only="$only $2" ;;
      esac
      shift
      ;;
    -h | --help) sed -n '2,19s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail_usage "unknown argument '$1'. Valid: --program --only --cpu --out" ;;
  esac
  shift
done
[ -n "$program" ] || fail_usage "--program is missing: an archive of tools/package.sh --tests"
[ -e "$program" ] || fail_usage "there is no $program"

gpu() { nvidia-smi --id=0 --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1; }
if [ "$device" = cuda ] && { ! command -v nvidia-smi >/dev/null || [ -z "$(gpu name)" ]; }; then
  echo "gpu-report.sh: there is no GPU here (nvidia-smi lists none). --cpu rehearses on the processor" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -d "$program" ]; then
  root=$(realpath "$program")
else
  tar -xzf "$program" -C "$work" || exit 1
  root=$(echo "$work"/omni-*)
fi
[ -d "$root/libexec/tests" ] || fail_usage "$program holds no tests. Pack it with tools/package.sh --tests"
about() { sed -n "s/^$1: //p" "$root/about"; }

# Found once for all programs. Where there is none, the first of them says so.
if [ -z "${OMNI_LIBTORCH:-}" ]; then
  OMNI_LIBTORCH=$(python3 -c 'import importlib.util; print(importlib.util.find_spec("torch").submodule_search_locations[0])' 2>/dev/null)
  if [ -n "$OMNI_LIBTORCH" ]; then export OMNI_LIBTORCH; fi
fi
export OMNI_BENCHMARK_DEVICE=$device OMNI_TEST_DEVICE=$device PYTHONDONTWRITEBYTECODE=1
export TORCHINDUCTOR_CACHE_DIR=$work/inductor TRITON_CACHE_DIR=$work/triton
launch=$root/bin/launch
peers=$root/libexec/benchmarks/peers
# A python3 whose torch sees the device, for what users of PyTorch would run.
python=""
if command -v python3 >/dev/null &&
  python3 -c "import sys, torch; sys.exit('$device' == 'cuda' and not torch.cuda.is_available())" 2>/dev/null; then
  python=python3
fi

# The most bf16 operations per second that its data sheet promises (dense), in TFLOP/s.
peak_tflops() {
  [ "$device" = cuda ] || return 0
  case "$(gpu name)" in
    *H100*PCIe*) echo 756 ;;
    *H100* | *H200* | *GH200*) echo 989 ;;
    *A100*) echo 312 ;;
    *L40S*) echo 362 ;;
    *RTX*4090*) echo 165 ;;
  esac
}

started=$SECONDS part="" part_end=0
: >"$work/steps"
: >"$work/results"
: >"$work/left_out"

# say_step NAME STATUS SECONDS [LOG]: STATUS is passed, failed, skipped, timed out or left out, and perhaps why.
say_step() {
  printf '%s\t%s\t%s\t%s\n' "$part" "$1" "$2" "$3" >>"$work/steps"
  printf '%-18s %-12s %4ss  %s\n' "$part" "$2" "$3" "$1"
  if [[ $2 == failed* || $2 == "timed out"* ]] && [ -n "${4:-}" ]; then
    { printf '\n`%s` (%s):\n\n```\n' "$1" "$2"; grep -v '^$' "$4" | tail -n 15 | cut -c 1-300; printf '```\n'; } >>"$work/failures"
  fi
}
leave_out() { printf '%s\t%s\t%s\n' "$part" "$1" "$2" >>"$work/left_out"; say_step "$1" "left out: $2" 0; }
seconds_left() { echo $((part_end - SECONDS)); }

# step SECONDS NAME COMMAND...: runs it within that time and what is left to its part; its lines of key=value pairs are
# results.
step() {
  local most=$1 name=$2 log=$work/log.$RANDOM rc=0 before=$SECONDS left
  shift 2
  left=$(seconds_left)
  [ "$left" -gt 2 ] || { leave_out "$name" "no time is left to this part"; return 1; }
  [ -z "${OMNI_REPORT_STEP_SECONDS:-}" ] || most=$OMNI_REPORT_STEP_SECONDS
  [ "$most" -lt "$left" ] || most=$left
  timeout -k 3 "$most" "$@" >"$log" 2>&1 </dev/null || rc=$?
  sed -n "s/^[a-z][a-z0-9_]*\( [a-z0-9_]*=[^ ]*\)\{1,\}$/$part &/p" "$log" >>"$work/results"
  case $rc in
    0) say_step "$name" passed $((SECONDS - before)) ;;
    124 | 137) say_step "$name" "timed out after $most s" $((SECONDS - before)) "$log" ;;
    *) say_step "$name" "failed with exit code $rc" $((SECONDS - before)) "$log" ;;
  esac
  return $rc
}

# One test, or one suite, in a process of its own: an error on a GPU spoils what comes after it in the same process.
one_test() {
  local binary=$1 name=$2 log=$work/test.$1.${2//[^A-Za-z0-9]/_} rc=0 before=$SECONDS status
  timeout -k 3 60 "$launch" "tests/$binary" --gtest_filter="$name" >"$log" 2>&1 </dev/null || rc=$?
  if grep -q '^\[  SKIPPED \]' "$log"; then status=skipped
  elif [ $rc = 0 ] && grep -q '^\[  PASSED  \] [1-9]' "$log"; then status=passed
  elif [ $rc = 124 ] || [ $rc = 137 ]; then status="timed out after 60 s"
  else status="failed with exit code $rc"; fi
  printf '%s\t%s\t%s\t%s\n' "$name" "$status" $((SECONDS - before)) "$log" >>"$work/tests"
}
export -f one_test
export work launch

# tests BINARY FILTER: several side by side.
tests() {
  local binary=$1 filter=$2 left listed
  listed=$("$launch" "tests/$binary" --gtest_list_tests --gtest_filter="$filter" 2>"$work/list.log" |
    awk -v device="$device" '/^[^ ]+\.( |$)/ { suite = $1; if (device == "cpu") print suite "*" } /^ / && device == "cuda" { print suite $1 }')
  [ -n "$listed" ] || { say_step "$binary" "failed: lists no tests" 0 "$work/list.log"; return; }
  left=$(seconds_left)
  [ "$left" -gt 2 ] || { leave_out "$binary" "no time is left to this part"; return; }
  : >"$work/tests"
  timeout -k 3 "$left" xargs -P "$jobs" -I{} bash -c "one_test $binary {}" <<<"$listed" 2>/dev/null || true
  while IFS=$'\t' read -r name status took log; do
    # Where a GPU was promised, a test that finds none has failed.
    [ "$status" != skipped ] || [ "$device" = cpu ] || status="failed: it was skipped"
    say_step "$name" "$status" "$took" "$log"
  done < <(sort "$work/tests")
  while read -r name; do
    cut -f 1 "$work/tests" | grep -qxF -- "$name" || say_step "$name" "timed out with its part" 0
  done <<<"$listed"
}
jobs=$(($(nproc) / 4))
[ "$jobs" -ge 1 ] || jobs=1
[ "$jobs" -le 4 ] || jobs=4

# Kernels for one generation of GPUs are tested there alone.
part_kernels() {
  if [ "$device" = cuda ] && [ "$(gpu compute_cap)" != 9.0 ]; then
    leave_out "the kernels of attention for Hopper" "this GPU is of compute capability $(gpu compute_cap), not 9.0"
    tests test_kernels '*Gpu.*-*/Hopper'
  elif [ "$device" = cuda ]; then tests test_kernels '*Gpu.*'; else tests test_kernels '-*Slow*:*Gpu.*'; fi
}

part_model() {
  for binary in test_model test_generation test_training test_distributed; do tests "$binary" '*Gpu.*'; done
}

part_program() {
  local here=$work/program omni=$root/bin/omni
  mkdir -p "$here"
  step 30 'omni info system' "$omni" info system
  step 60 'omni sample' "$omni" sample --device "$device" --model "$root/bundle" --temperature 1 --prompt 'a red chair' \
    --out "$here/a.glb" --seed 5
  [ ! -e "$here/a.glb" ] || step 30 'omni mesh check' "$omni" mesh check "$here/a.glb"
  if [ ! -d "$root/libexec/tests/tokens" ]; then
    leave_out 'omni pretrain' 'the archive was packed with a model of its own and holds no tokens to train on'
    return
  fi
  step 60 'omni pretrain' "$omni" pretrain "$root/libexec/tests/pretrain.yaml" --set "output=$here/run" \
    --set "shards=[$root/libexec/tests/tokens]" --set "tokenizers.text=$root/bundle/text_tokenizer.json" \
    --set "tokenizers.image=$root/bundle/image_tokenizer" --set "tokenizers.shape=$root/bundle/shape_tokenizer" \
    --set model.width=128 --set model.heads=2 --set model.single_blocks=2 --set tokens_per_step=1024 \
    --set tokens_per_micro_batch=512 --set steps=8 --set minutes=0 --set "device=$device" --set deterministic=true &&
    step 60 'omni sample, of what was trained' "$omni" sample --device "$device" --model "$here/run/bundle" \
      --prompt 'a red chair' --guidance text=2 --out "$here/b.glb" --seed 5
}

part_training() {
  local peak runs run compile here=$work/training
  mkdir -p "$here"
  peak=$(peak_tflops)
  [ -n "$peak" ] || leave_out MFU "no data sheet's figure is known for this device"
  if [ "$device" = cuda ]; then
    runs=("--shape 100m" "--shape 100m --fused all --graphs" "--shape 1b --steps 5"
      "--shape 1b --steps 5 --fused all --graphs"
      "--shape 1b --steps 5 --recompute")
  else
    runs=("--shape tiny --tokens 1024 --steps 1" "--shape tiny --tokens 1024 --steps 1 --fused all"
      "--shape tiny --tokens 1024 --steps 1 --recompute")
  fi
  for run in "${runs[@]}"; do
    step 75 "train_step $run" "$launch" benchmarks/train_step $run ${peak:+--peak "$peak"}
  done
  for run in "${runs[@]}"; do
    [[ $run != *--recompute && $run != *--fused* ]] || continue
    [ -z "$python" ] || step 20 "train_step $run --write" "$launch" benchmarks/train_step $run --write "$here"
    for compile in "" " --compile"; do
      if [ -z "$python" ]; then
        leave_out "PyTorch train_step.py $run$compile" "there is no python3 with torch that sees the device"
      else
        step 110 "PyTorch train_step.py $run$compile" $python "$peers/train_step.py" "$here" --device "$device" \
          $(sed 's/--tokens [0-9]*//' <<<"$run") $compile
      fi
    done
  done
}

part_decoding() {
  local shape=200m
  [ "$device" = cuda ] || shape=tiny
  step 40 "decode_token --shape $shape" "$launch" benchmarks/decode_token --shape "$shape"
  step 40 "decode_batch --shape $shape" "$launch" benchmarks/decode_batch --shape "$shape"
  if [ -z "$python" ]; then
    leave_out "PyTorch decode_token.py, train_step.py --decode" "there is no python3 with torch that sees the device"
  else
    step 40 "PyTorch decode_token.py" $python "$peers/decode_token.py" --device "$device" --shape "$shape"
    step 40 "PyTorch train_step.py --decode" $python "$peers/train_step.py" --decode --device "$device" --shape "$shape"
  fi
}

part_kernel-benchmarks() {
  local file name small
  for file in "$root"/libexec/benchmarks/kernels/*; do
    name=$(basename "$file") small=""
    [ "$device" = cuda ] || case $name in  # one round of small sizes
      packed_attention) small="1 1024" ;;
      decode_linear) small="1 512 512" ;;
      cross_entropy) small="1 4096" ;;
      *) small=1 ;;
    esac
    step 60 "$name" "$launch" "benchmarks/kernels/$name" $small
  done
}

# At the published size, so that the processor has no rehearsal of it.
part_cube3d() {
  local name="text to mesh with Cube3D" folder=$work/cube3d kilobytes=8000000
  if [ "$device" = cpu ]; then
    leave_out "$name" "a GPU alone does it in this time"
  elif ! python3 -c 'import numpy' 2>/dev/null; then
    leave_out "$name" "there is no python3 with numpy, which makes the weights"
  elif [ "$(df -k --output=avail "$work" | tail -n 1)" -lt $kilobytes ] ||
    [ "$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)" -lt $kilobytes ]; then
    leave_out "$name" "8 GB of memory and of disk ($work) are not free"
  else
    step 60 "Cube3D's random weights" python3 "$root/libexec/benchmarks/random_cube3d.py" "$folder" &&
      step 120 "$name" "$root/libexec/benchmarks/text_to_mesh.sh" "$root/bin/omni" python3 "$folder" bf16
    rm -rf "$folder"
  fi
}

# Seconds for each part where all run; what one leaves is not given to the next.
limit_of() {
  [ -z "$only" ] || { echo $ALONE_SECONDS; return; }
  case $1 in
    kernels) echo 60 ;;
    model) echo 70 ;;
    program) echo 30 ;;
    training) echo 300 ;;
    decoding) echo 60 ;;
    kernel-benchmarks) echo 120 ;;
    cube3d) echo 120 ;;
  esac
}

for part in ${only:-$PARTS}; do
  part_end=$((SECONDS + $(limit_of "$part")))
  [ "$part_end" -lt $((started + TOTAL_SECONDS)) ] || part_end=$((started + TOTAL_SECONDS))
  "part_$part"
done

count_steps() { awk -F'\t' -v status="$1" 'index($3, status) == 1' "$work/steps" | wc -l; }
# name: value lines about the machine and what ran on it.
facts() {
  if [ "$device" = cuda ]; then
    echo "device: $(gpu name)"
    echo "driver: $(gpu driver_version)"
    echo "memory: $(gpu memory.total)"
    echo "clock after the last part: $(gpu clocks.sm) (most $(gpu clocks.max.sm))"
    echo "memory clock after the last part: $(gpu clocks.mem) (most $(gpu clocks.max.mem))"
    echo "power limit: $(gpu power.limit)"
    echo "temperature: $(gpu temperature.gpu) C"
  else
    echo "device: processor"
  fi
  echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) threads, load $(cut -d' ' -f1 /proc/loadavg)"
  echo "system: $(uname -sr), glibc $(getconf GNU_LIBC_VERSION | sed 's/glibc //')"
  echo "LibTorch: $(about libtorch), in ${OMNI_LIBTORCH:-no folder}"
  [ -z "$python" ] || echo "PyTorch: $($python -c 'import sys, torch; print(torch.__version__, "with Python", sys.version.split()[0])')"
  for fact in version commit compiler "cuda compiler" "gpu kernels"; do echo "$fact: $(about "$fact")"; done
  [ -z "${OMNI_CUDA_PLUGIN:-}" ] || echo "plug-in: $OMNI_CUDA_PLUGIN"
  [ -z "$only" ] || echo "parts:$only"
  echo "date: $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "seconds: $((SECONDS - started))"
  echo "steps: $(count_steps passed) passed, $(($(count_steps failed) + $(count_steps timed))) failed, $(count_steps skipped) skipped, $(count_steps 'left out') left out"
}
facts >"$work/facts"

write_markdown() {
  echo "# omni on $(sed -n 's/^device: //p' "$work/facts")"
  echo
  sed 's/^\([^:]*\): /- **\1**: /' "$work/facts"
  printf '\n## What failed\n'
  if [ -s "$work/failures" ]; then cat "$work/failures"; else printf '\nNothing.\n'; fi
  printf '\n## What was left out\n\n'
  if [ -s "$work/left_out" ]; then awk -F'\t' '{ print "- " $1 ": " $2 ": " $3 }' "$work/left_out"; else echo "Nothing."; fi
  printf '\n## Figures\n\n'
  echo 'MFU (`mfu`) = floating-point operations of the matrix products of a step (forward and backward, without padding and'
  echo 'recomputation, a multiply-add as two; `tflops` per second) / the most bf16 operations per second that the data sheet'
  echo "promises ($(peak_tflops | sed 's/$/ TFLOP\/s/' | grep . || echo 'no figure is known')). "'`_ms` of parts are measured with a wait after each'
  echo 'part, `step_ms` and `tokens_per_s` without. `peak_gb` is the most memory in use at a time.'
  # Consecutive results of one part with the same name and keys share a table.
  awk '
    {
      own = $1 " " $2; header = "|"; rule = "|"; row = "|"
      for (i = 3; i <= NF; ++i) {
        at = index($i, "=")
        header = header " " substr($i, 1, at - 1) " |"; rule = rule "---|"; row = row " " substr($i, at + 1) " |"
      }
      if (own header != shape) { printf "\n### %s\n\n%s\n%s\n", own, header, rule; shape = own header }
      print row
    }' "$work/results"
  printf '\n## Steps\n\n| part | step | status | s |\n|---|---|---|---|\n'
  awk -F'\t' '{ gsub(/\|/, "\\|"); printf "| %s | %s | %s | %s |\n", $1, $2, $3, $4 }' "$work/steps"
}

write_json() {
  awk -v steps="$work/steps" -v results="$work/results" '
    function quoted(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); gsub(/[[:cntrl:]]/, " ", text); return "\"" text "\"" }
    function value(text) { return text ~ /^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$/ ? text : quoted(text) }
    {
      at = index($0, ": ")
      facts = facts (NR > 1 ? ",\n" : "") "    " quoted(substr($0, 1, at - 1)) ": " quoted(substr($0, at + 2))
    }
    END {
      printf "{\n  \"about\": {\n%s\n  },\n  \"steps\": [", facts
      while ((getline line < steps) > 0) {
        split(line, field, "\t")
        printf "%s\n    {\"part\": %s, \"step\": %s, \"status\": %s, \"seconds\": %s}", (step++ ? "," : ""), quoted(field[1]),
          quoted(field[2]), quoted(field[3]), field[4]
      }
      printf "\n  ],\n  \"results\": ["
      while ((getline line < results) > 0) {
        count = split(line, words, " ")
        printf "%s\n    {\"part\": %s, \"name\": %s", (result++ ? "," : ""), quoted(words[1]), quoted(words[2])
        for (i = 3; i <= count; ++i) {
          at = index(words[i], "=")
          printf ", %s: %s", quoted(substr(words[i], 1, at - 1)), value(substr(words[i], at + 1))
        }
        printf "}"
      }
      printf "\n  ]\n}\n"
    }' "$work/facts"
}

mkdir -p "$out"
write_markdown >"$out/report.md"
write_json >"$out/report.json"
echo "gpu-report.sh: wrote $out/report.md and $out/report.json; $(sed -n 's/^steps: //p' "$work/facts")"
[ "$(($(count_steps failed) + $(count_steps timed)))" = 0 ]
