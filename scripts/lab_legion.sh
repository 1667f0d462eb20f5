#!/usr/bin/env bash
# Legion in the laboratory: four boards of two kinds behind 100 Mbit/s run plans of row splits, beside their predictions.
#
# Usage: scripts/lab_legion.sh [NETWORK..]      resnet-18, vgg-16 and yolov2 if none is named; as root
#
# For each network it profiles one board of each kind (layers, whole and in a third and a sixth of their rows, which is what
# boards of these speeds get of Legion, so that few times lie between profiled ones; with cold caches as steps
# of plans find them), and replays plans of one board, Legion, neighbours and MoDNN. Outputs are held against a single
# device's. The laboratory is set up before and removed afterwards; scenarios, traces and results are in target/lab.
#
# Variables: LAB_SLOWED  how many times boards are slowed, in turn ("6 12")
#            LAB_MEMORY  MiB that are set apart for boards (10240)
#            VISITS      to each profiled step (3)
#            ROUNDS      of each plan (5)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export LAB_NAME=legion LAB_SLOWED=${LAB_SLOWED:-6 12} LAB_MEMORY=${LAB_MEMORY:-10240}
export COINFER=${COINFER:-target/release/coinfer}
place=target/lab
mkdir -p "$place"

# The last layer whose rows are shared; what is behind it is left out.
last() {
    case $1 in
    resnet-18) echo layer4.1.relu ;;
    vgg-16 | vgg-19) echo pool5 ;;
    yolov2) echo conv23 ;;
    *)
        echo "scripts/lab_legion.sh: \`$1\` is none of resnet-18, vgg-16, vgg-19 and yolov2" >&2
        exit 2
        ;;
    esac
}

scenario() {
    local network=$1 index
    cat <<END
name = "lab-legion-$network"
baseline = "board1"
baseline_at_hand = true
load = { offline = { samples = 1 } }

# It scatters and gathers.
[[devices]]
name = "server"
kind = "cpu"
memory = "4 GiB"
unsupported = ["conv", "pool"]
cpu = { cores = "0" }
END
    for index in 1 2 3 4; do
        cat <<END

[[devices]]
name = "board$index"
kind = "board"
memory = "4 GiB"
trace = "$network.csv"
profile = "board$(((index - 1) % 2 + 1))" # boards 3 and 4 are slowed as 1 and 2 are
agent = { address = "10.77.0.$((10 + index)):7071" }
variation = { empirical = true } # whoever waits for four boards waits for the slowest
END
    done
    cat <<END

# What the shaper lets through, less what HTTP/2 and TLS add: \`coinfer profile --link\` in this laboratory.
[[switches]]
name = "lan"
bandwidth = "93.6 Mbit/s"
overhead = "300 us"

[[models]]
name = "net"
zoo = "$network"
until = "$(last "$network")"
home = "server"

[[strategies]]
name = "one board"
single = { device = "board1" }

[[strategies]]
legion = {}

[[strategies]]
name = "neighbour"
legion = { transport = "neighbour" }

[[strategies]]
modnn = {}
END
}

networks=("$@")
[ $# -gt 0 ] || networks=(resnet-18 vgg-16 yolov2)
for network in "${networks[@]}"; do
    scenario "$network" >"$place/$network.toml"
done
trap 'scripts/lab.sh down' EXIT
trap 'exit 130' INT TERM HUP
scripts/lab.sh up 4
for network in "${networks[@]}"; do
    scripts/lab.sh run "$COINFER" profile "$place/$network.toml" --units --parts 1,3,6 --batches 1 --alone --cold \
        --repeats "${VISITS:-3}"
    scripts/lab.sh run "$COINFER" run "$place/$network.toml" --replay --as-profiled --rounds "${ROUNDS:-5}" \
        --tolerance 15 --out "$place/results" || [ $? -eq 4 ]
done
