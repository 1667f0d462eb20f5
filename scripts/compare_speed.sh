#!/usr/bin/env bash
# Compares coinfer's engine with the bare heap (the limit), with desque and with SimPy on the same workloads.
#
# Usage: scripts/compare_speed.sh [--runs N] [--engines "heap desque coinfer simpy"] [WORKLOAD...]
#
# Workloads: mm1 phold-1k phold-10k phold-100k cqn star-8 star-64 star-512 pipe contention batching
# Without arguments all run, 3 times each and the engines in turn: 6 minutes, nearly all of them SimPy's. Counted is
# the CPU time of one core; of the runs, the median. Prints a Markdown table, also into target/speed/speed.md, and
# fails if an engine does other work than the others. Needs the network once, for SimPy and desque.
#
# Example: scripts/compare_speed.sh --runs 5 --engines "heap coinfer" mm1 phold-1k
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs=3
engines="heap desque coinfer simpy"
all="mm1 phold-1k phold-10k phold-100k cqn star-8 star-64 star-512 pipe contention batching"
workloads=""
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h)
        sed -n '2,/^set/s/^# \?//p' "$0"
        exit 0
        ;;
    --runs)
        runs=${2:?how many}
        shift
        ;;
    --engines)
        engines=${2:?which}
        shift
        ;;
    *)
        if [[ " $all " != *" $1 "* ]]; then
            echo "scripts/compare_speed.sh: \`$1\` is no option or workload; see scripts/compare_speed.sh --help" >&2
            exit 2
        fi
        workloads+=" $1"
        ;;
    esac
    shift
done
folder=target/speed
mkdir -p $folder
python=$folder/venv/bin/python
for engine in $engines; do
    case $engine in
    heap | desque) cargo build -q --release --manifest-path scripts/speed/peers/Cargo.toml --target-dir $folder/peers ;;
    coinfer)
        cargo build -q --release
        cargo bench -q --bench events --no-run --message-format=json-render-diagnostics >$folder/build.json
        coinfer=$(sed -n 's/.*"name":"events".*"executable":"\([^"]*\)".*/\1/p' $folder/build.json)
        ;;
    simpy)
        if ! "$python" -c 'import simpy' 2>/dev/null; then
            python3 -m venv $folder/venv
            "$python" -m pip install -q simpy==4.1.2
        fi
        ;;
    *)
        echo "scripts/compare_speed.sh: \`$engine\` is no engine; use heap, desque, coinfer or simpy" >&2
        exit 2
        ;;
    esac
done

# One line on standard output: workload,engine,check,events,cpu_seconds,peak_mb.
measure() {
    case $1-$2 in
    coinfer-*) COINFER_WORKLOAD=$2 "$coinfer" ;;
    *-contention | *-batching) ;;  # no other engine has them
    desque-star* | simpy-star*) ;; # these have no links that flows share
    simpy-*) "$python" scripts/speed/on_simpy.py "$2" ;;
    *) $folder/peers/release/peers "$1" "$2" ;;
    esac
}

: >$folder/runs.csv
for ((run = 1; run <= runs; run++)); do
    for workload in ${workloads:-$all}; do
        for engine in $engines; do
            measure "$engine" "$workload" >>$folder/runs.csv
        done
    done
done
{
    python3 scripts/speed/table.py $folder/runs.csv
    if [[ -z $workloads && $engines == *coinfer* ]]; then
        python3 scripts/speed/sweep.py target/release/coinfer
    fi
} | tee $folder/speed.md
