#!/usr/bin/env bash
# Kills a sweep with SIGKILL at random moments and resumes it: its results must be those of a sweep that nobody killed,
# byte for byte.
#
# Usage: scripts/kill_resume.sh [MOMENTS] [PROGRAM]
#
# 50 moments by target/release/coinfer if not said otherwise. At each, the sweep is killed one to three times.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

moments=${1:-50}
program=${2:-target/release/coinfer}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
sweep=("$program" sweep scenarios/kcc2020-vgg16-sweep.toml --seeds 10 --quiet)

began=$(date +%s%N)
"${sweep[@]}" --out "$place/whole" >"$place/whole.txt"
took=$((($(date +%s%N) - began) / 1000000)) # milliseconds

# Sleeps for so many milliseconds.
pause() {
    sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
}

different=0 unfinished=0 kills=0
for ((moment = 1; moment <= moments; moment++)); do
    out=$place/killed
    rm -rf "$out"
    times=$((1 + RANDOM % 3))
    for ((kill = 0; kill < times; kill++)); do
        "${sweep[@]}" --out "$out" --resume >/dev/null &
        pause $((RANDOM % (took + 1)))
        if kill -KILL $! 2>/dev/null; then
            kills=$((kills + 1))
        fi
        wait $! 2>/dev/null || true
    done
    journal=$(find "$out" -name '*.journal' 2>/dev/null | head -n 1 || true)
    if [ -n "$journal" ] && ! tail -c 32 "$journal" | grep -q complete; then
        unfinished=$((unfinished + 1))
    fi
    "${sweep[@]}" --out "$out" --resume >"$place/killed.txt"
    if ! cmp "$place"/whole/*/*/results.csv "$out"/*/*/results.csv || ! cmp "$place/whole.txt" "$place/killed.txt"; then
        different=$((different + 1))
        echo "moment $moment: the results differ" >&2
    fi
done
echo "$moments moments, $kills kills, $unfinished sweeps left unfinished and resumed, $different with other results"
[ "$different" -eq 0 ]
