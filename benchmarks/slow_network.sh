#!/usr/bin/env bash
# Two ranks with one thread each in two network namespaces of this host, joined by a link of a set rate and 0.2 ms there and
# back (Gloo, a 100M shape): how much of their communication goes beside computation, as a timeline. As root.
#   slow_network.sh <omni> <slow_link> <models/tiny> <token shards> [sharding: full, optimizer or none]
#     [tokens of a micro-batch] [Gbit/s] [micro-batches of each rank] [key=value of the stage...]
# With DEVICE=file.yaml, which describes a core and this link (docs/scaling.md), also what --dry-run makes of it.
set -euo pipefail
omni=$1 link=$2 tokenizers=$3 shards=$4 sharding=${5:-optimizer} tokens=${6:-1024} rate=${7:-10} batches=${8:-2}
overrides=("${@:9}")
one_way_ms=0.1
here=$(dirname "$(realpath "$0")")
. "$here/ranks_stage.sh"
work=$(mktemp -d)
names=("omni-slow-$$-0" "omni-slow-$$-1")
others=() ranks=()
cleanup() {
  [ ${#others[@]} = 0 ] || kill "${others[@]}" 2>/dev/null || true
  for name in "${names[@]}"; do ip netns del "$name" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT
export OMP_NUM_THREADS=1

for name in "${names[@]}"; do ip netns add "$name"; done
"$link" "${names[@]}" slow0 "$rate" "$one_way_ms" >"$work/link" &
others+=($!)
until grep -q ready "$work/link"; do kill -0 "${others[0]}" || exit 1; sleep 0.1; done
for rank in 0 1; do
  ip -n "${names[rank]}" address add "10.77.0.$((rank + 1))/24" dev slow0
  ip -n "${names[rank]}" link set slow0 mtu 9000 up
  ip -n "${names[rank]}" link set lo up
done
ip netns exec "${names[0]}" python3 "$here/link_speed.py" serve 10.77.0.1 &
others+=($!)
echo "slow_network: sharding $sharding; a link set to $rate Gbit/s and 0.2 ms, measured:" \
  "$(ip netns exec "${names[1]}" python3 "$here/link_speed.py" measure 10.77.0.1)"

write_stage "$work/stage.yaml" "$tokens"
cat >>"$work/stage.yaml" <<YAML
tokens_per_step: $((2 * batches * tokens))
steps: 5
sharding: $sharding
recompute: true
YAML
# A log of every step would wait for all that is on its way, and the last step saves the run.
settings=(--set log_steps=5)
for override in "${overrides[@]}"; do settings+=(--set "$override"); done

rank() {
  exec ip netns exec "${names[$1]}" env RANK="$1" WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=10.77.0.1 \
    MASTER_PORT=29500 GLOO_SOCKET_IFNAME=slow0 "$omni" pretrain "$work/stage.yaml" --out "$work/run" "${settings[@]}" --profile steps=3..4 >"$work/log-$1" 2>&1
}
for rank in 0 1; do
  rank "$rank" &
  ranks+=($!)
done
others+=("${ranks[@]}")
for process in "${ranks[@]}"; do wait "$process" || { cat "$work"/log-*; exit 1; }; done
kill "${others[0]}"
wait "${others[0]}"
tail -1 "$work/link"
if [ -n "${DEVICE:-}" ]; then
  "$omni" pretrain "$work/stage.yaml" "${settings[@]}" --dry-run --ranks 2 --gpu "$DEVICE" | sed -n '/^# a step on/,$p'
fi
python3 "$here/hidden_communication.py" "$work"/run/profile/*.json
