#!/usr/bin/env bash
# Builds the kernels alone (LibTorch and GoogleTest are enough), runs their tests and benchmarks on this machine's GPU
# and writes what came out: kernels.md to read, kernels.json to compare.
#   tools/gpu-report.sh [--cpu] [--libtorch DIR] [--out DIR] [--build DIR]
#     --cpu       tests and benchmarks of the CPU kernels instead; needs no GPU
#     --libtorch  an unpacked LibTorch (default: .deps/libtorch)
#     --out       where the report goes (default: out/kernels)
#     --build     the build folder (default: build/kernels)
# Exits 1 where there is no GPU, where something does not build or where a test fails.
set -euo pipefail
cd "$(dirname "$0")/.."

device=cuda libtorch=$PWD/.deps/libtorch out=out/kernels build=build/kernels
while [ $# -gt 0 ]; do
  case "$1" in
    --cpu) device=cpu ;;
    --libtorch) libtorch=$2; shift ;;
    --out) out=$2; shift ;;
    --build) build=$2; shift ;;
    *) echo "gpu-report.sh: unknown argument '$1'. Valid: --cpu --libtorch --out --build" >&2; exit 2 ;;
  esac
  shift
done

gpu() { nvidia-smi --id=0 --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1; }
if [ "$device" = cuda ] && { ! command -v nvidia-smi >/dev/null || [ -z "$(gpu name)" ]; }; then
  echo "gpu-report.sh: there is no GPU here (nvidia-smi lists none). --cpu reports on the CPU kernels" >&2
  exit 1
fi

cuda=ON label=gpu
[ "$device" = cuda ] || { cuda=OFF label=fast; }
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DOMNI_KERNELS_ONLY=ON -DOMNI_BENCHMARKS=ON -DOMNI_CUDA=$cuda \
  -DLIBTORCH_ROOT="$libtorch" >/dev/null
cmake --build "$build" -j "$(nproc)"

OMNI_CUDA_PLUGIN=$(realpath -m "$build/libomni_cuda.so")
export OMNI_CUDA_PLUGIN
mkdir -p "$out"
log=$(mktemp)
trap 'rm -f "$log" "$log".*' EXIT

tests_failed=0
ctest --test-dir "$build" -L "$label" --no-tests=error --output-on-failure >"$log.tests" 2>&1 || tests_failed=1
# Where a GPU was promised, a test that finds none has failed.
if [ "$device" = cuda ] && grep -q 'Skipped' "$log.tests"; then tests_failed=1; fi
test_summary=$(grep -E 'tests passed|No tests' "$log.tests" | tail -n 1)
[ "$tests_failed" = 0 ] || tail -n 40 "$log.tests" >&2

load=$(cut -d' ' -f1 /proc/loadavg)
benchmarks_failed=""
for program in "$build"/benchmarks/kernels/*; do
  [ -f "$program" ] && [ -x "$program" ] || continue
  echo "running $(basename "$program")"
  OMNI_BENCHMARK_DEVICE=$device "$program" >"$log.one" || benchmarks_failed="$benchmarks_failed $(basename "$program")"
  cat "$log.one"
  cat "$log.one" >>"$log.lines"
done
touch "$log.lines"

# name: value lines about the machine.
about() {
  if [ "$device" = cuda ]; then
    echo "device: $(gpu name)"
    echo "driver: $(gpu driver_version)"
    echo "memory: $(gpu memory.total)"
    echo "clock now: $(gpu clocks.sm) (most $(gpu clocks.max.sm))"
    echo "memory clock now: $(gpu clocks.mem) (most $(gpu clocks.max.mem))"
    echo "power limit: $(gpu power.limit)"
    echo "CUDA compiler: $(nvcc --version 2>/dev/null | sed -n 's/.*release //p' || true)"
  else
    echo "device: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
    echo "threads: $(nproc)"
    echo "clock now: $(sed -n 's/^cpu MHz[^:]*: //p' /proc/cpuinfo | head -n 1) MHz"
    echo "load before: $load"
  fi
  echo "LibTorch: $(sed -n 's/^#define TORCH_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' \
    "$libtorch/include/torch/headeronly/version.h" 2>/dev/null | paste -sd. || true)"
  echo "compiler: $(sed -n 's/^CMAKE_CXX_COMPILER:[^=]*=//p' "$build/CMakeCache.txt" | head -n 1 | xargs -I{} sh -c '{} --version | head -n 1')"
  echo "commit: $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
  echo "date: $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "tests: ${test_summary:-none ran}"
}
about >"$log.about"

{
  echo "# Kernels on $(sed -n 's/^device: //p' "$log.about")"
  echo
  sed 's/^\([^:]*\): /- **\1**: /' "$log.about"
  # Consecutive lines with the same name and keys share a table.
  awk '
    !/=/ { printf "\n%s\n", $0; shape = ""; next }
    {
      own = $1; header = "|"; rule = "|"; row = "|"
      for (i = 2; i <= NF; ++i) {
        at = index($i, "="); if (!at) continue
        header = header " " substr($i, 1, at - 1) " |"; rule = rule "---|"; row = row " " substr($i, at + 1) " |"
      }
      if (own header != shape) { printf "\n### %s\n%s\n%s\n", own, header, rule; shape = own header }
      print row
    }' "$log.lines"
} >"$out/kernels.md"

awk -v lines="$log.lines" '
  function quoted(text) { gsub(/\\/, "\\\\", text); gsub(/"/, "\\\"", text); gsub(/\t/, " ", text); return "\"" text "\"" }
  function value(text) { return text ~ /^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$/ ? text : quoted(text) }
  { at = index($0, ": "); about = about (NR > 1 ? ",\n" : "") "  " quoted(substr($0, 1, at - 1)) ": " quoted(substr($0, at + 2)) }
  END {
    printf "{\n%s,\n  \"benchmarks\": [", about
    while ((getline line < lines) > 0) {
      count = split(line, words, " ")
      if (index(line, "=") == 0) continue
      printf "%s\n    {\"name\": %s", (printed++ ? "," : ""), quoted(words[1])
      for (i = 2; i <= count; ++i) {
        at = index(words[i], "=")
        if (at) printf ", %s: %s", quoted(substr(words[i], 1, at - 1)), value(substr(words[i], at + 1))
      }
      printf "}"
    }
    printf "\n  ]\n}\n"
  }' "$log.about" >"$out/kernels.json"

echo "wrote $out/kernels.md and $out/kernels.json; ${test_summary:-no tests ran}"
[ -z "$benchmarks_failed" ] || echo "gpu-report.sh: these benchmarks failed:$benchmarks_failed" >&2
[ "$tests_failed" = 0 ] && [ -z "$benchmarks_failed" ]
