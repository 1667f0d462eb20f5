#!/usr/bin/env bash
# The gate of every change.
#
# Usage: scripts/check.sh [CHECK...]
#
# Checks: fmt clippy test doc deny advisories. Without arguments all run but `advisories`, which needs the network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run() {
    printf '\n== %s\n' "$*"
    "$@"
}

check() {
    case $1 in
    fmt) run cargo fmt --check ;;
    clippy) run cargo clippy --all-targets -- -D warnings ;;
    test) run cargo test ;;
    doc) RUSTDOCFLAGS=-Dwarnings run cargo doc --no-deps ;;
    deny) run cargo deny check bans licenses sources ;;
    advisories) run cargo deny check advisories ;;
    *)
        echo "scripts/check.sh: \`$1\` is not a check; use fmt, clippy, test, doc, deny or advisories" >&2
        return 2
        ;;
    esac
}

if [ $# -eq 0 ]; then
    set -- fmt clippy test doc deny
fi
for name in "$@"; do
    check "$name"
done
