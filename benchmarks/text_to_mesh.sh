#!/usr/bin/env bash
# A text to a mesh of 257^3 points with Cube3D at v0.5 size, random weights and guidance on, as `omni sample` does it
# from its start to the file: seconds, the most memory that was resident, mapped files included, and how many times
# faster than the published program's arithmetic in PyTorch on this processor (peers/text_to_mesh.py).
#   text_to_mesh.sh OMNI PYTHON FOLDER [precision ...]    FOLDER: where the weights go, 11 GB with fp32's; PYTHON has numpy
#                                                         and PyTorch
# Weights are packed before, which happens once; with OMNI_BENCHMARK_DEVICE=cuda nothing is packed. Of FOLDER what is there
# already is used.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: text_to_mesh.sh OMNI PYTHON FOLDER [precision ...]" >&2; exit 2; }
omni=$1 python=$2 folder=$3
shift 3
device=${OMNI_BENCHMARK_DEVICE:-cpu}
[ $# -gt 0 ] || set -- bf16 int8
here=$(dirname "$0")
[ -e "$folder/clip/model.safetensors" ] || "$python" "$here/random_cube3d.py" "$folder"
reference_s=
if [ "$device" = cpu ]; then
  reference=$("$python" "$here/peers/text_to_mesh.py" "$folder" | grep "^text_to_mesh")
  echo "$reference"
  reference_s=$(sed -n 's/.* s=\([^ ]*\).*/\1/p' <<<"$reference")
fi
sample() {
  "$omni" sample --device "$device" --model cube3d-v0.5 --weights "$folder" --prompt "a red chair" --bbox 1,2,1.5 "$@" 2>&1
}
for precision in "$@"; do
  if [ "$device" = cpu ]; then
    # Of the packing run nothing but the file counts: one code is sampled, of a coarse mesh.
    "$python" -c "import numpy, sys; numpy.save(sys.argv[1], numpy.arange(1023, dtype=numpy.int32))" "$folder/codes.npy"
    sample --precision "$precision" --first-codes "$folder/codes.npy" --resolution 16 --out "$folder/packed.glb" >/dev/null
  fi
  start=$EPOCHREALTIME
  said=$(sample --precision "$precision" --out "$folder/mesh.glb") || { echo "$said" >&2; exit 1; }
  end=$EPOCHREALTIME
  awk -v device="$device" -v precision="$precision" -v s="$(awk "BEGIN {print $end - $start}")" -v reference="$reference_s" \
    -v peak="$(sed -n 's/.*peak memory: \([0-9.]*\) GB.*/\1/p' <<<"$said")" \
    -v gpu_peak="$(sed -n 's/.*peak memory: .*on the GPU \([0-9.]*\) GB.*/ gpu_peak_gb=\1/p' <<<"$said")" \
    -v triangles="$(tr '\r' '\n' <<<"$said" | sed -n 's/.*: \([0-9]*\) triangles.*/\1/p' | tail -n 1)" \
    'BEGIN {printf "text_to_mesh program=omni device=%s precision=%s s=%.1f peak_gb=%s%s triangles=%s%s\n", device, precision, s, peak, gpu_peak, triangles, reference ? sprintf(" times_pytorch=%.1f", reference / s) : ""}'
done
