#!/usr/bin/env bash
# Many small runs through one agent, each a session of its own: its memory must not grow.
#
# Usage: scripts/soak_agent.sh RUNS   such as 10000
#
# Prints the resident memory of the agent at the start, in the middle and at the end, and fails if it grew by more than
# 10 % and 8 MiB from the middle to the end. COINFER is the program (target/release/coinfer).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs=${1:-}
[[ $runs =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/soak_agent.sh RUNS" >&2; exit 2; }
COINFER=$(realpath "${COINFER:-target/release/coinfer}")
folder=$(mktemp -d)
agent=
trap '[ -z "$agent" ] || kill "$agent" 2>/dev/null || true; rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

"$COINFER" agent --listen 127.0.0.1:0 --cores 0 >"$folder/log" 2>&1 &
agent=$!
for _ in $(seq 100); do
    grep -qs '^listening on ' "$folder/log" && break
    sleep 0.05
done
address=$(sed -n 's/^listening on //p' "$folder/log")
[ -n "$address" ] || { cat "$folder/log" >&2; exit 1; }

cat >"$folder/soak.toml" <<END
name = "soak"
load = { offline = { samples = 1 } }
devices = [
    { name = "home", kind = "cpu", memory = "1 GiB", trace = "soak.csv", cpu = { cores = "0" } },
    { name = "board", kind = "board", memory = "1 GiB", trace = "soak.csv", agent = { address = "$address" } },
]
links = [{ name = "eth", between = ["home", "board"], bandwidth = "1 GB/s" }]
models = [{ name = "net", zoo = "gru-2x512", home = "home" }]
strategies = [{ single = { device = "board" } }]
END
cat >"$folder/soak.csv" <<END
# coinfer trace 1
# source: soak
# revision: none
# hardware: none
# software: none
# date: none
# kind: measured
device,model,layer,batch,rows,statistic,repeat,time_ms
home,gru-2x512,whole,1,all,raw,1,1
board,gru-2x512,whole,1,all,raw,1,1
END
"$COINFER" plan "$folder/soak.toml" --strategy single -o "$folder/plan.json" --quiet

resident() {
    awk '/^VmRSS/ { print $2 }' "/proc/$agent/status"
}

# Each round of a replay is two runs, since the plan is opened twice. What the errors of predictions are does not matter here.
each=100
run() {
    local left=$1 rounds
    while [ "$left" -gt 0 ]; do
        rounds=$(((left < each ? left + 1 : each) / 2))
        "$COINFER" replay "$folder/plan.json" --scenario "$folder/soak.toml" --rounds "$rounds" --out "$folder/results" \
            --quiet >/dev/null || [ $? -eq 4 ]
        left=$((left - 2 * rounds))
    done
}

run 1
start=$(resident)
run $((runs / 2))
middle=$(resident)
run $((runs - runs / 2))
end=$(resident)
threads=$(awk '/^Threads/ { print $2 }' "/proc/$agent/status")
echo "$runs runs: $start KiB resident at the start, $middle in the middle, $end at the end; $threads threads"
if [ $((end * 10)) -gt $((middle * 11)) ] && [ $((end - middle)) -gt 8192 ]; then
    echo "the agent's memory grows" >&2
    exit 1
fi
