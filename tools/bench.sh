#!/usr/bin/env bash
# Benchmarks against the Python that a user would write instead, in one run, with the ratios. The Python peers get an
# environment of their own in .deps/peers. Not part of the tests: figures mean something on an idle machine only.
#   tools/bench.sh [--save] [NAME ...]    --save: also into benchmarks/results/, named after the processor; NAME: those
#                                         benchmarks alone
set -euo pipefail
cd "$(dirname "$0")/.."

all="train_step several_ranks checkpoint_save decode_token cube3d_gpt qwen3 geometry cube3d_tokenizer text_to_mesh"
save=0 chosen=""
for argument in "$@"; do
  case " --save $all " in
    *" $argument "*) ;;
    *) echo "bench.sh: unknown argument '$argument'. Valid: --save $all" >&2; exit 2 ;;
  esac
  if [ "$argument" = --save ]; then save=1; else chosen="$chosen $argument"; fi
done

tools/setup.sh --no-build
cmake --preset release >/dev/null
cmake --build --preset release --target benchmark_train_step benchmark_decode_batch \
  benchmark_decode_token benchmark_cube3d_gpt benchmark_qwen3 benchmark_geometry benchmark_cube3d_tokenizer benchmark_checkpoint_save omni_program
python=.deps/peers/bin/python
if ! "$python" -c 'import torch, trimesh, skimage, scipy, rtree, transformers' 2>/dev/null; then
  echo "bench: making the Python environment .deps/peers"
  python3 -m venv .deps/peers
  "$python" -m pip install --quiet "torch==2.11.0" numpy trimesh scikit-image scipy rtree "transformers==5.24.0"
fi
if ! "$python" -c 'import llama_cpp, gguf' 2>/dev/null; then
  echo "bench: building llama.cpp for .deps/peers"  # for this processor, which takes minutes
  CMAKE_ARGS="-DLLAVA_BUILD=OFF" "$python" -m pip install --quiet "llama-cpp-python==0.3.36" gguf \
    || echo "bench: llama.cpp could not be built: its figures are left out" >&2
fi

results=$(mktemp)
trap 'rm -f "$results"' EXIT
# value FILE NAME KEY [KEY=VALUE...]: of the first line that starts with NAME and holds those pairs.
value() {
  local file=$1 name=$2 key=$3 lines
  shift 3
  lines=$(grep "^$name " "$file")
  for pair in "$@"; do lines=$(grep " $pair\( \|$\)" <<<"$lines"); done
  sed -n "1s/.* $key=\([^ ]*\).*/\1/p" <<<"$lines"
}
train_step() {
  local ours peer compiled batch documents run
  ours=$(mktemp) peer=$(mktemp) compiled=$(mktemp) batch=$(mktemp) documents=$(mktemp -d)
  build/release/benchmarks/train_step --precision fp32 --check "$documents"
  "$python" benchmarks/peers/train_step.py "$documents" --check
  build/release/benchmarks/train_step --library | tee "$ours"
  build/release/benchmarks/decode_batch | tee "$batch"
  for run in "--precision bf16" "--precision fp32" "--precision bf16 --shape 100m --steps 3"; do
    build/release/benchmarks/train_step $run --write "$documents"
    build/release/benchmarks/train_step $run | tee "$ours"
    "$python" benchmarks/peers/train_step.py "$documents" $run | tee "$peer"
    "$python" benchmarks/peers/train_step.py "$documents" $run --compile | tee "$compiled"
    awk -v run="$run" -v ours="$(value "$ours" train_step tokens_per_s)" \
      -v eager="$(value "$peer" train_step tokens_per_s)" -v compiled="$(value "$compiled" train_step tokens_per_s)" \
      'BEGIN {printf "training %s: %d tokens/s, PyTorch %d (%.1f times), compiled %d (%.1f times)\n", run, ours, eager, ours / eager, compiled, ours / compiled}'
  done
  "$python" benchmarks/peers/train_step.py --decode | tee "$peer"
  awk -v ours="$(value "$batch" decode_batch steps_per_s)" -v eager="$(value "$peer" decode_batch steps_per_s)" \
    'BEGIN {printf "decoding 64 sequences: %d steps/s, PyTorch %d (%.1f times)\n", ours, eager, ours / eager}'
  rm -rf "$ours" "$peer" "$compiled" "$batch" "$documents"
}
decode_token() {
  local ours peer piece
  ours=$(mktemp) peer=$(mktemp)
  build/release/benchmarks/decode_token | tee "$ours"
  "$python" benchmarks/peers/decode_token.py | tee "$peer"
  # PyTorch has no int8 products for this: bf16 is its best.
  local as
  for piece in fp32 bf16 int8; do
    as=$piece
    [ "$piece" != int8 ] || as=bf16
    awk -v piece="$piece" -v as="$as" -v ours="$(value "$ours" decode_token ms precision=$piece)" \
      -v peer="$(value "$peer" decode_token ms precision=$as)" \
      'BEGIN {printf "a token in %s: %.1f ms, PyTorch in %s %.1f ms (%.1f times)\n", piece, ours, as, peer, peer / ours}'
  done
  rm -f "$ours" "$peer"
}
cube3d_gpt() {
  local work ours peer piece
  work=$(mktemp -d -p "${TMPDIR:-/var/tmp}") ours=$(mktemp) peer=$(mktemp)
  trap "rm -rf '$work'" EXIT  # gigabytes of weights, of the subshell that runs this
  build/release/benchmarks/cube3d_gpt "$work" | tee "$ours"
  rm -rf "$work"
  "$python" benchmarks/peers/cube3d_gpt.py | tee "$peer"
  for piece in bf16 int8; do
    awk -v piece="$piece" -v ours="$(value "$ours" cube3d_gpt ms precision=$piece)" \
      -v share="$(value "$ours" cube3d_gpt share_of_read precision=$piece)" \
      -v autocast="$(value "$peer" cube3d_gpt ms precision=autocast)" -v peer="$(value "$peer" cube3d_gpt ms precision=bf16)" \
      'BEGIN {printf "a code of Cube3D in %s: %.1f ms, %d %% of a read; PyTorch under autocast %.0f ms (%.1f times), in bf16 %.0f ms (%.1f times)\n", piece, ours, 100 * share, autocast, autocast / ours, peer, peer / ours}'
  done
  rm -f "$ours" "$peer"
}
qwen3() {
  local work ours peer piece as
  work=$(mktemp -d -p "${TMPDIR:-/var/tmp}") ours=$(mktemp) peer=$(mktemp) llama=$(mktemp)
  trap "rm -rf '$work'" EXIT  # gigabytes of weights, of the subshell that runs this
  build/release/benchmarks/qwen3 "$work" | tee "$ours"
  rm -f "$work"/*
  "$python" benchmarks/peers/qwen3.py | tee "$peer"
  if "$python" -c 'import llama_cpp, gguf' 2>/dev/null; then
    # Its 8-bit products of this version end with an illegal instruction on some processors.
    "$python" benchmarks/peers/qwen3_llama.py "$work" | tee "$llama" || echo "bench: llama.cpp did not reach its end" >&2
  fi
  rm -rf "$work"
  # transformers has no int8 products of its own: bf16 is its best.
  for piece in fp32 bf16 int8; do
    as=$piece
    [ "$piece" != int8 ] || as=bf16
    awk -v piece="$piece" -v as="$as" -v ours="$(value "$ours" qwen3 ms precision=$piece)" \
      -v peer="$(value "$peer" qwen3 ms precision=$as)" -v prompt="$(value "$ours" qwen3 prefill_s precision=$piece)" \
      -v peers_prompt="$(value "$peer" qwen3 prefill_s precision=$as)" \
      'BEGIN {printf "Qwen3-0.6B in %s: %.1f ms a token, transformers in %s %.1f ms (%.1f times); prompt %.2f s, transformers %.2f s (%.2f times)\n", piece, ours, as, peer, peer / ours, prompt, peers_prompt, peers_prompt / prompt}'
  done
  for piece in fp32 bf16 int8; do
    grep -q "precision=$piece " "$llama" || continue
    awk -v piece="$piece" -v ours="$(value "$ours" qwen3 ms precision=$piece)" \
      -v peer="$(value "$llama" qwen3 ms precision=$piece)" -v prompt="$(value "$ours" qwen3 prefill_s precision=$piece)" \
      -v peers_prompt="$(value "$llama" qwen3 prefill_s precision=$piece)" \
      'BEGIN {printf "Qwen3-0.6B in %s: llama.cpp %.1f ms a token (%.2f times), prompt %.2f s (%.2f times)\n", piece, peer, peer / ours, peers_prompt, peers_prompt / prompt}'
  done
  rm -f "$ours" "$peer" "$llama"
}
geometry() {
  local work ours peer
  work=$(mktemp -d) ours=$(mktemp) peer=$(mktemp)
  build/release/benchmarks/geometry "$work" | tee "$ours"
  "$python" benchmarks/peers/geometry.py "$work" | tee "$peer"
  local piece
  for piece in extraction sampling distance; do
    awk -v piece="$piece" -v ours="$(awk -v p="$piece:" '$1 == p {print $2}' "$ours")" \
      -v peer="$(awk -v p="$piece:" '$1 == p {print $2}' "$peer")" \
      'BEGIN {printf "%s: %.1f ms, Python %.1f ms (%.1f times)\n", piece, ours, peer, peer / ours}'
  done
  rm -rf "$work" "$ours" "$peer"
}
text_to_mesh() {
  local work
  work=$(mktemp -d -p "${TMPDIR:-/var/tmp}")
  trap "rm -rf '$work'" EXIT  # gigabytes of weights, of the subshell that runs this
  benchmarks/text_to_mesh.sh build/release/omni "$python" "$work"
  rm -rf "$work"
}
cube3d_tokenizer() {
  local work ours peer piece
  work=$(mktemp -d) ours=$(mktemp) peer=$(mktemp)
  build/release/benchmarks/cube3d_tokenizer "$work" | tee "$ours"
  "$python" benchmarks/peers/cube3d_tokenizer.py "$work" | tee "$peer"
  for piece in encode encode_bf16 mesh mesh_bf16; do
    awk -v piece="$piece" -v ours="$(awk -v p="$piece:" '$1 == p {print $2}' "$ours")" \
      -v peer="$(awk -v p="${piece%_bf16}:" '$1 == p {print $2}' "$peer")" \
      'BEGIN {printf "%s: %.2f s, Python %.2f s (%.1f times)\n", piece, ours, peer, peer / ours}'
  done
  rm -rf "$work" "$ours" "$peer"
}
# save NAME FILE
save() {
  local machine
  machine=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1 | tr -cs 'A-Za-z0-9' '_' | sed 's/_*$//')
  mkdir -p benchmarks/results
  { echo "$(nproc) cores of $machine"; cat "$2"; } > "benchmarks/results/$1_$machine.txt"
  echo "bench: saved benchmarks/results/$1_$machine.txt"
}
several_ranks() {
  benchmarks/several_ranks.sh "$PWD/build/release/omni" "$PWD/models/tiny" "$PWD/tests/fixtures/golden/tokens"
}
checkpoint_save() { build/release/benchmarks/checkpoint_save --shape 100m; }
for benchmark in ${chosen:-$all}; do
  "$benchmark" | tee "$results"
  [ "$save" = 0 ] || save "$benchmark" "$results"
done
