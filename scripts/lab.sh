#!/usr/bin/env bash
# A laboratory in a box: boards as network namespaces of this machine, each with an agent, joined by an Ethernet switch.
#
# Usage: scripts/lab.sh up N          sets up a server and N boards, which stay until `down` (root only)
#        scripts/lab.sh check         measures every link, and fails if one is not as fast as it should be
#        scripts/lab.sh run COMMAND.. runs a command on the server
#        scripts/lab.sh down          ends the agents and removes all of it
#        scripts/lab.sh with N COMMAND..
#                                     all at once: sets up, runs the command on the server, removes. Root is not needed
#                                     where users may make namespaces. Without a command: `check`.
#
# The server and each board have a namespace and a network card, whose other end is at a bridge in a namespace of its own.
# Both ends are shaped to 100 Mbit/s. Addresses are 10.77.0.1 of the server and 10.77.0.11 and up of boards; they are in
# those namespaces only. Agents are pinned to cores and slowed, so that several boards share a core without disturbing each
# other; the first core sends and receives for all of them, so that no packet interrupts what computes. They are reached
# over TLS with a token. Commands find the credentials by variables, a scenario of the laboratory as "$LAB_SCENARIO", and
# everything else in "$LAB_DIR".
#
# Variables: LAB_NAME     lets laboratories stand beside each other (lab)
#            LAB_SLOWED   how many times boards are slowed, in turn ("8 16")
#            LAB_RATE     of all cards ("100mbit")
#            LAB_DELAY    that agents add to each message ("0ms")
#            LAB_MODEL    the network of the scenario ("squeezenet_v1.1")
#            LAB_MEMORY   MiB that are set apart in huge pages, for even times on virtual machines, as root (0)
#            COINFER      the program (target/release/coinfer, or target/debug/coinfer)
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
LAB_NAME=${LAB_NAME:-lab}
LAB_SLOWED=${LAB_SLOWED:-8 16}
LAB_RATE=${LAB_RATE:-100mbit}
LAB_DELAY=${LAB_DELAY:-0ms}
LAB_MODEL=${LAB_MODEL:-squeezenet_v1.1}
LAB_MEMORY=${LAB_MEMORY:-0}
SPACE=coinfer-$LAB_NAME
export LAB_DIR=${LAB_DIR:-/tmp/coinfer-$LAB_NAME.$(id -u)}
export LAB_SCENARIO=$LAB_DIR/lab.toml
PAGES=/proc/sys/vm/nr_hugepages
# Memory that a step has freed stays with its program, in huge pages, or the next one pays for getting it anew.
export MIMALLOC_PURGE_DELAY=-1 MIMALLOC_ALLOW_LARGE_OS_PAGES=1
NET=10.77.0
PORT=7071

fail() {
    echo "scripts/lab.sh: $*" >&2
    exit 1
}

program() {
    local found
    for found in "${COINFER:-}" "$ROOT/target/release/coinfer" "$ROOT/target/debug/coinfer"; do
        if [ -n "$found" ] && [ -x "$found" ]; then
            realpath "$found"
            return
        fi
    done
    fail "there is no program; build it by \`cargo build --release\`"
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "\`$tool\` is missing; Debian has it in iproute2, openssl, util-linux or python3"
    done
}

inside() {
    ip netns exec "$SPACE-$1" "${@:2}"
}

# Packets as they are on a wire: none that are larger than it carries.
plain() {
    if command -v ethtool >/dev/null; then
        inside "$1" ethtool -K "$2" tso off gso off gro off tx off >/dev/null 2>&1 || true
    fi
    inside "$1" ip link set dev "$2" gso_max_segs 1
}

shape() {
    inside "$1" tc qdisc replace dev "$2" root tbf rate "$LAB_RATE" burst 3200 limit 200k overhead 24
}

# A namespace with a card at the bridge.
join() {
    local name=$1 address=$2
    ip netns add "$SPACE-$name"
    ip -n "$SPACE-$name" link set lo up
    ip -n "$SPACE-$name" link add eth0 type veth peer name "to-$name" netns "$SPACE-bridge"
    ip -n "$SPACE-$name" address add "$address/24" dev eth0
    ip -n "$SPACE-$name" link set eth0 up
    ip -n "$SPACE-bridge" link set "to-$name" master br0 up
    plain "$name" eth0
    plain bridge "to-$name"
    shape "$name" eth0
    shape bridge "to-$name"
}

# A certificate for an address, signed by the laboratory.
certify() {
    local name=$1 address=$2
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
        -keyout "$LAB_DIR/$name.key" -out "$LAB_DIR/$name.csr" 2>/dev/null
    openssl x509 -req -in "$LAB_DIR/$name.csr" -CA "$LAB_DIR/ca.pem" -CAkey "$LAB_DIR/ca.key" -CAcreateserial -days 2 \
        -extfile <(printf 'subjectAltName=IP:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$address") \
        -out "$LAB_DIR/$name.pem" 2>/dev/null
}

credentials() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=coinfer laboratory" \
        -keyout "$LAB_DIR/ca.key" -out "$LAB_DIR/ca.pem" 2>/dev/null
    openssl rand -hex 32 >"$LAB_DIR/token"
}

agent() {
    local index=$1 address=$2 factors cores first core slowed
    read -ra factors <<<"$LAB_SLOWED"
    read -ra cores <<<"$(cores)"
    slowed=${factors[$(((index - 1) % ${#factors[@]}))]}
    # The server and all that is sent and received have the first core, what boards compute the others.
    first=${cores[0]}
    if [ ${#cores[@]} -gt 1 ]; then cores=("${cores[@]:1}"); fi
    core=${cores[$(((index - 1) % ${#cores[@]}))]}
    certify "board$index" "$address"
    inside "board$index" setsid "$(program)" agent --listen "$address:$PORT" --cores "$core" --network-cores "$first" \
        --slowed "$slowed" \
        --delay "$LAB_DELAY" --tls-cert "$LAB_DIR/board$index.pem" --tls-key "$LAB_DIR/board$index.key" \
        --token-file "$LAB_DIR/token" >"$LAB_DIR/board$index.log" 2>&1 </dev/null &
}

# Keeps the cores from falling asleep: a core of a virtual machine that sleeps comes back with caches that others have used.
awake() {
    local core
    for core in $(cores); do
        # shellcheck disable=SC2016
        inside bridge setsid taskset -c "$core" chrt -i 0 sh -c 'while :; do :; done' </dev/null >/dev/null 2>&1 &
    done
}

# Sets memory apart and touches it. The host of a virtual machine takes back what the kernel has free, and it costs 4.6 ms
# to get 2 MiB of it again, in the midst of a step; huge pages that are set apart are not free.
set_apart() {
    local before wanted most
    [[ $LAB_MEMORY =~ ^[0-9]{1,9}$ ]] || fail "LAB_MEMORY is \`$LAB_MEMORY\`; use a number of MiB, such as 10240"
    [ "$LAB_MEMORY" -gt 0 ] || return 0
    need python3
    [ -w "$PAGES" ] || fail "only root can set memory apart; leave LAB_MEMORY out"
    before=$(cat "$PAGES")
    wanted=$((10#$LAB_MEMORY / 2))
    most=$(awk '/^MemAvailable/ { print int($2 / 2 / 2048) }' /proc/meminfo)
    echo $((before + (wanted < most ? wanted : most))) >"$PAGES"
    echo $(($(cat "$PAGES") - before)) >"$LAB_DIR/pages"
    python3 - "$(cat "$LAB_DIR/pages")" <<'END'
import mmap, sys
PAGE, MAP_HUGETLB = 2 << 20, 0x40000
if int(sys.argv[1]) > 0:
    memory = mmap.mmap(-1, int(sys.argv[1]) * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
    for start in range(0, len(memory), 4096):
        memory[start] = 1
END
}

# The cores that this process may use.
cores() {
    local list part
    list=$(awk '/^Cpus_allowed_list/ { print $2 }' /proc/self/status)
    for part in ${list//,/ }; do
        seq -s ' ' "${part%-*}" "${part#*-}"
    done | tr '\n' ' '
}

ready() {
    local index
    for index in $(seq "$1"); do
        for _ in $(seq 200); do
            grep -qs '^listening on ' "$LAB_DIR/board$index.log" && continue 2
            sleep 0.05
        done
        fail "the agent of board $index does not listen: $(cat "$LAB_DIR/board$index.log")"
    done
}

scenario() {
    local count=$1 index other first
    first=$(cores | cut -d ' ' -f 1)
    {
        echo 'name = "lab"'
        echo 'load = { offline = { samples = 8 } }'
        echo 'devices = ['
        echo "    { name = \"server\", kind = \"cpu\", memory = \"2 GiB\", trace = \"lab.csv\", cpu = { cores = \"$first\", slowed = ${LAB_SLOWED%% *} } },"
        for index in $(seq "$count"); do
            echo "    { name = \"board$index\", kind = \"board\", memory = \"2 GiB\", trace = \"lab.csv\", agent = { address = \"$NET.$((10 + index)):$PORT\" } },"
        done
        echo ']'
        # What the shaper lets through, less what packets, TLS and HTTP/2 add; `check` measures it.
        echo 'links = ['
        for index in $(seq "$count"); do
            echo "    { name = \"eth$index\", between = [\"server\", \"board$index\"], bandwidth = \"11.7 MB/s\", overhead = \"500 us\" },"
            for other in $(seq $((index + 1)) "$count"); do
                echo "    { name = \"eth$index-$other\", between = [\"board$index\", \"board$other\"], bandwidth = \"11.7 MB/s\", overhead = \"900 us\" },"
            done
        done
        echo ']'
        echo "models = [{ name = \"net\", zoo = \"$LAB_MODEL\", home = \"server\" }]"
        echo 'strategies = [{ even = {} }, { proportional = {} }, { greedy = {} }]'
    } >"$LAB_SCENARIO"
}

up() {
    local count=$1 index
    [[ $count =~ ^[1-9][0-9]?$ ]] || fail "\`$count\` is no number of boards from 1 to 99"
    need ip tc openssl taskset
    program >/dev/null
    if ip netns list | grep -q "^$SPACE-"; then
        fail "there is a laboratory called $LAB_NAME already; \`$0 down\` removes it"
    fi
    rm -rf "$LAB_DIR"
    mkdir -m 700 "$LAB_DIR"
    set_apart
    credentials
    ip netns add "$SPACE-bridge"
    ip -n "$SPACE-bridge" link add br0 type bridge
    ip -n "$SPACE-bridge" link set br0 up
    join server "$NET.1"
    for index in $(seq "$count"); do
        join "board$index" "$NET.$((10 + index))"
        agent "$index" "$NET.$((10 + index))"
    done
    awake
    ready "$count"
    scenario "$count"
}

down() {
    local space pids
    for space in $(ip netns list | awk -v start="$SPACE-" 'index($1, start) == 1 { print $1 }'); do
        # Only what runs in the laboratory's own namespaces is ended.
        pids=$(ip netns pids "$space" 2>/dev/null || true)
        if [ -n "$pids" ]; then
            # shellcheck disable=SC2086
            kill $pids 2>/dev/null || true
            for _ in $(seq 40); do
                [ -n "$(ip netns pids "$space")" ] || break
                sleep 0.05
            done
            # shellcheck disable=SC2046
            kill -9 $(ip netns pids "$space") 2>/dev/null || true
        fi
        ip netns del "$space" || true
    done
    if [ -f "$LAB_DIR/pages" ]; then echo $(($(cat "$PAGES") - $(cat "$LAB_DIR/pages"))) >"$PAGES" || true; fi
    case $LAB_DIR in
    */coinfer-*) rm -rf "$LAB_DIR" ;;
    esac
}

run() {
    [ -f "$LAB_SCENARIO" ] || fail "there is no laboratory called $LAB_NAME; \`$0 up 2\` sets one up"
    export COINFER_TLS_CA=$LAB_DIR/ca.pem COINFER_TOKEN_FILE=$LAB_DIR/token COINFER
    COINFER=$(program)
    # What the server sends is sent from its own core, or packets interrupt what boards compute.
    PATH=$(dirname "$COINFER"):$PATH inside server taskset -c "$(cores | cut -d ' ' -f 1)" "$@"
}

# The goodput of every link: TCP's at this rate, less what HTTP/2 and TLS add.
check() {
    local lines expected
    lines=$(run "$(program)" profile "$LAB_SCENARIO" --link --repeats 5 -o "$LAB_DIR/links.csv" --quiet)
    echo "$lines"
    expected=$(awk -v rate="${LAB_RATE%mbit}" 'BEGIN { printf "%.3f", rate / 8 * 0.941 }')
    awk -v expected="$expected" '
        match($0, /bandwidth = "[0-9.]+/) {
            found = substr($0, RSTART + 13, RLENGTH - 13)
            links++
            if (found < expected * 0.92 || found > expected * 1.03) { bad++; print "not as fast as it should be: " $0 }
        }
        END {
            printf "%d links, of which %d are more than 8 %% below or 3 %% above %s MB/s\n", links, bad, expected
            exit (links == 0 || bad > 0)
        }' <<<"$lines"
}

together() {
    local count=$1
    shift
    trap 'down' EXIT
    trap 'exit 130' INT TERM HUP
    up "$count"
    if [ $# -eq 0 ]; then check; else run "$@"; fi
}

case ${1:-} in
up)
    [ $# -eq 2 ] || fail "usage: scripts/lab.sh up N"
    [ "$(id -u)" -eq 0 ] || fail "only root can set up what stays; use \`scripts/lab.sh with N COMMAND\`"
    # Whatever stops it, nothing is left half set up.
    trap 'code=$?; [ $code -eq 0 ] || down; exit $code' EXIT
    trap 'exit 130' INT TERM HUP
    up "$2"
    echo "a server and $2 boards are up; \`scripts/lab.sh run COMMAND\` runs one on the server"
    ;;
down) down ;;
check) check ;;
run)
    shift
    run "$@"
    ;;
with)
    [ $# -ge 2 ] || fail "usage: scripts/lab.sh with N [COMMAND..]"
    shift
    if [ "$(id -u)" -ne 0 ] && [ -z "${LAB_UNSHARED:-}" ]; then
        need unshare ip tc openssl
        # A user's own namespaces, and a /run that `ip netns` can write to.
        LAB_UNSHARED=1 exec unshare -Urnm bash -c 'mount -t tmpfs tmpfs /run && exec "$0" with "$@"' "$0" "$@"
    fi
    together "$@"
    ;;
*)
    sed -n '2,/^set -e/{/^set -e/!s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
