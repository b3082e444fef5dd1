#!/usr/bin/env bash
# Two ranks with one thread each in two network namespaces of this host, joined by a link of 10 Gbit/s and 0.2 ms there and
# back (Gloo, a 100M shape): how much of their communication goes beside computation, as a timeline. As root.
#   slow_network.sh <omni> <models/tiny> <token shards> [sharding: full, optimizer or none] [tokens of a micro-batch]
# The delay needs the kernel's netem; without it the link has its rate alone, which is said.
set -euo pipefail
omni=$1 tokenizers=$2 shards=$3 sharding=${4:-full} tokens=${5:-1024}
here=$(dirname "$(realpath "$0")")
. "$here/ranks_stage.sh"
work=$(mktemp -d)
first=omni-slow-$$-0 second=omni-slow-$$-1
cleanup() {
  [ -z "${other:-}" ] || kill "$other" 2>/dev/null || true
  ip netns del "$first" 2>/dev/null || true
  ip netns del "$second" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
export OMP_NUM_THREADS=1

ip netns add "$first"
ip netns add "$second"
ip link add slow0 netns "$first" type veth peer name slow1 netns "$second"
for rank in 0 1; do
  namespace=$([ $rank = 0 ] && echo "$first" || echo "$second")
  ip -n "$namespace" address add "10.77.0.$((rank + 1))/24" dev "slow$rank"
  ip -n "$namespace" link set "slow$rank" mtu 9000 up
  ip -n "$namespace" link set lo up
  if ip netns exec "$namespace" tc qdisc add dev "slow$rank" root netem delay 0.1ms rate 10gbit limit 10000 \
    2>"$work/netem"; then
    delay="0.2 ms"
  else
    ip netns exec "$namespace" tc qdisc add dev "slow$rank" root tbf rate 10gbit burst 256kb limit 64mb
    delay="no delay of its own (netem: $(head -1 "$work/netem"))"
  fi
done
echo "slow_network: 10 Gbit/s, $delay"

write_stage "$work/stage.yaml" "$tokens"
cat >>"$work/stage.yaml" <<YAML
tokens_per_step: $((4 * tokens))
steps: 4
sharding: $sharding
recompute: true
YAML

rank() {
  exec ip netns exec "$1" env RANK="$2" WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=1 MASTER_ADDR=10.77.0.1 MASTER_PORT=29500 \
    "$omni" pretrain "$work/stage.yaml" --out "$work/run" --profile steps=3..4 >"$work/log-$2" 2>&1
}
rank "$second" 1 &
other=$!
(rank "$first" 0) || { cat "$work"/log-*; exit 1; }
wait "$other" || { cat "$work"/log-*; exit 1; }
other=
sed -n 's/.*"tokens_per_second":\([0-9.]*\).*/slow_network tokens_per_s=\1/p' "$work/run/metrics.jsonl"
python3 "$here/hidden_communication.py" "$work"/run/profile/*.json
