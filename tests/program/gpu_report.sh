#!/usr/bin/env bash
# tools/gpu-report.sh over an archive of made-up programs: that a step that fails, crashes or hangs is reported and does not
# stop the rest, that figures reach both files, and that its mistakes are named.
set -uo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
omni=$source/tools/gpu-report.sh
. "$(dirname "$0")/expectations.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

root=$work/omni-0
mkdir -p "$root/bin" "$root/libexec/tests" "$root/libexec/benchmarks/kernels" "$root/libexec/benchmarks/peers" "$root/bundle"
printf 'version: 0\ncommit: abc "quoted"\nlibtorch: 2.11.0\n' >"$root/about"
made_up() { cat >"$root/$1"; chmod +x "$root/$1"; }
made_up bin/launch <<'SH'
#!/bin/sh
program=$1; shift
exec "$(dirname "$0")/../libexec/$program" "$@"
SH
made_up bin/omni <<'SH'
#!/bin/sh
echo "omni: cannot $*" >&2
exit 4
SH
made_up libexec/tests/test_kernels <<'SH'
#!/bin/sh
case "$*" in
  *list_tests*) printf 'Good.\n  One\n  Two\nBad.\n  Fails\n  Crashes\n  Skips\n' ;;
  *Fails*) echo 'expected 1, got 2'; exit 1 ;;
  *Crashes*) kill -SEGV $$ ;;
  *Skips*) echo '[  SKIPPED ] Bad.Skips' ;;
  *) echo '[  PASSED  ] 1 test.' ;;
esac
SH
for name in model generation training; do
  made_up libexec/tests/test_$name <<'SH'
#!/bin/sh
SH
done
made_up libexec/benchmarks/kernels/a_prints <<'SH'
#!/bin/sh
echo "some words"
echo "speed type=bf16 tokens=5 us=1.5e+03"
echo "speed type=int8 tokens=6 us=inf"
SH
made_up libexec/benchmarks/kernels/b_hangs <<'SH'
#!/bin/sh
echo "late us=1"
exec sleep 600
SH
made_up libexec/benchmarks/kernels/c_prints <<'SH'
#!/bin/sh
echo "width us=3"
SH
tar -C "$work" -czf "$work/archive.tar.gz" omni-0
cd "$work"

expect 2 '--program is missing' --cpu
expect 2 'there is no nowhere' --cpu --program nowhere
expect 2 "no part is called 'kernel'. Parts: kernels" --cpu --program archive.tar.gz --only kernel
expect 2 "unknown argument '--cup'" --cup

# With a GPU that answers what it is asked; a test that finds none has failed.
mkdir "$work/bin"
made_up ../bin/nvidia-smi <<'SH'
#!/bin/sh
echo "made-up ${*#*=}" | sed 's/ --format.*//'
SH
export PATH=$work/bin:$PATH
OMNI_REPORT_STEP_SECONDS=3 expect 1 'wrote .*4 passed, 4 failed, 0 skipped' --program archive.tar.gz --out report \
  --only kernels --only kernel-benchmarks
for line in '| kernels | Good.Two | passed |' '| kernels | Bad.Fails | failed with exit code 1 |' \
  '| kernels | Bad.Crashes | failed with exit code 139 |' '| kernels | Bad.Skips | failed: it was skipped |' \
  'expected 1, got 2' '**driver**: made-up' \
  '| kernel-benchmarks | b_hangs | timed out' '| bf16 | 5 | 1.5e+03 |' '### kernel-benchmarks width' '**commit**: abc "quoted"'; do
  check "the report says $line" grep -qF -- "$line" report/report.md
done
check 'the JSON is JSON and holds the figures' python3 - report/report.json <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["about"]["commit"] == 'abc "quoted"', report["about"]
rows = [row for row in report["results"] if row["part"] == "kernel-benchmarks"]
assert rows[0] == {"part": "kernel-benchmarks", "name": "speed", "type": "bf16", "tokens": 5, "us": 1500.0}, rows
assert rows[1]["us"] == "inf" and rows[-1]["name"] == "width", rows
steps = report["steps"]
assert any({"part": "kernels", "step": "Good.One", "status": "passed"}.items() <= step.items() for step in steps), steps
# The made-up GPU is of no compute capability that there is.
assert any(step["step"] == "the kernels of attention for Hopper" and step["status"].startswith("left out") for step in steps), steps
PY

OMNI_REPORT_STEP_SECONDS=3 expect 1 'passed.* Good[.][*]' --cpu --program archive.tar.gz --out rehearsal --only kernels --only kernel-benchmarks
check 'on the processor a suite is one step' grep -qF '| kernels | Bad.* | passed |' rehearsal/report.md

# The rest of the parts, without a program that works: each failure is named, nothing stops.
expect 1 'omni sample' --cpu --program "$root" --out all --only program --only model
check 'an error of the program is quoted' grep -qF 'omni: cannot info system' all/report.md
check 'tests that are not there are missed' grep -qF '| model | test_training | failed: lists no tests |' all/report.md
finish
