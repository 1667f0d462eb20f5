#!/usr/bin/env bash
# Kills one of two agents at a random moment of a replay, again and again. Each time the program must name the board, end
# before the deadline, and not panic; the other agent must have its memory back; no process may be left.
#
# Usage: scripts/kill_agents.sh MOMENTS   such as 200
#
# COINFER is the program (target/release/coinfer), SEED that of the moments (1).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

moments=${1:-}
[[ $moments =~ ^[1-9][0-9]*$ ]] || { echo "usage: scripts/kill_agents.sh MOMENTS" >&2; exit 2; }
COINFER=$(realpath "${COINFER:-target/release/coinfer}")
RANDOM=${SEED:-1}
deadline=20
folder=$(mktemp -d)
left= right= run=
cleanup() {
    local pid
    for pid in $left $right $run; do
        kill -9 "$pid" 2>/dev/null || true
    done
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
    echo "moment $moment: $*" >&2
    cat "$folder/said" >&2
    exit 1
}

# Starts an agent whose name is $1; its process is in `started`, its address in `address`.
start() {
    rm -f "$folder/$1.log"
    "$COINFER" agent --listen 127.0.0.1:0 --cores 0 >"$folder/$1.log" 2>&1 &
    started=$!
    for _ in $(seq 100); do
        grep -qs '^listening on ' "$folder/$1.log" && break
        sleep 0.05
    done
    address=$(sed -n 's/^listening on //p' "$folder/$1.log")
}

resident() {
    awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

cat >"$folder/two.csv" <<END
# coinfer trace 1
# source: kill
# revision: none
# hardware: none
# software: none
# date: none
# kind: measured
device,model,layer,batch,rows,statistic,repeat,time_ms
END
for device in home left right; do
    for batch in 1 2 4 8; do
        echo "$device,gru-2x512,whole,$batch,all,raw,1,$batch" >>"$folder/two.csv"
    done
done

start right
right=$started right_address=$address
named=0 before=0 first_memory=
for moment in $(seq "$moments"); do
    start left
    left=$started
    cat >"$folder/two.toml" <<END
name = "two"
load = { offline = { samples = 12 } }
devices = [
    { name = "home", kind = "cpu", memory = "1 GiB", trace = "two.csv", cpu = { cores = "0" } },
    { name = "left", kind = "board", memory = "1 GiB", trace = "two.csv", agent = { address = "$address" } },
    { name = "right", kind = "board", memory = "1 GiB", trace = "two.csv", agent = { address = "$right_address" } },
]
links = [
    { name = "one", between = ["home", "left"], bandwidth = "1 GB/s" },
    { name = "two", between = ["home", "right"], bandwidth = "1 GB/s" },
]
models = [{ name = "net", zoo = "gru-2x512", home = "home" }]
strategies = [{ even = {} }]
END
    begun=$(date +%s%N)
    "$COINFER" run "$folder/two.toml" --replay --rounds 1000 --deadline "$deadline" --out "$folder/results" --quiet \
        >"$folder/printed" 2>"$folder/said" &
    run=$!
    # From its start to well into its rounds.
    sleep "0.$(printf '%03d' $((RANDOM % 900)))"
    kill -9 "$left"
    { wait "$left"; } 2>/dev/null || true
    left=
    code=0
    wait "$run" || code=$?
    run=
    took=$((($(date +%s%N) - begun) / 1000000))
    ! grep -q panicked "$folder/said" "$folder/right.log" || fail "a panic"
    [ "$took" -lt $((deadline * 1000)) ] || fail "it took $took ms"
    case $code in
    1)
        grep -q '^error: `left` was lost: ' "$folder/said" || fail "the board is not named"
        named=$((named + 1))
        ;;
    2)
        # It was not there yet, or no more, when it was first asked.
        grep -q 'the agent of `left` at ' "$folder/said" || fail "the board is not named"
        before=$((before + 1))
        ;;
    *) fail "exit code $code" ;;
    esac
    kill -0 "$right" || fail "the other agent has ended"
    memory=$(resident "$right")
    # The first rounds make the heap what it stays.
    [ "$moment" -ne 10 ] || first_memory=$memory
done
echo "$moments moments: $named times lost and named, $before times before it was reached;" \
    "$(resident "$right") KiB resident in the other agent, ${first_memory:-unknown} after 10 moments"
