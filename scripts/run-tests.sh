#!/usr/bin/env bash
# Runs the tests: unit (no component needed), e2e (the real PostgreSQL, Kafka and Restate), chaos (five minutes of a fixed
# seed in which everything is killed, frozen and cut; what follows that word goes to stack chaos), or all of these, in this
# order; or crash: ten rounds in which the old way and the new one are killed (what follows goes to stack crash-test).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/tools.sh
. scripts/tools.sh

what=${1:-all}
case $what in
    unit | e2e | all | crash | chaos) ;;
    *) echo "usage: scripts/run-tests.sh [unit|e2e|all|crash [FLAGS OF stack crash-test]|chaos [FLAGS OF stack chaos]]" >&2 && exit 2 ;;
esac
# Signatures are verified with libraries from npm and PyPI, too, and alerts are evaluated by Prometheus.
if [ "$what" = unit ] || [ "$what" = crash ] || [ "$what" = chaos ]; then
    require_tools
else
    require_tools node=nodejs npm=npm python3=python3 pip3=python3-pip
    require_prometheus
fi
announce_build debug 6
# The checked SQL is compiled against the committed data; its freshness is a test of its own.
export SQLX_OFFLINE=true

# Our services die at named points when a test arms them. One build for all: with other features it would be another one.
points=(--features chassis/faults)

step() { echo "== $*" >&2; }

unit() {
    step "format"
    cargo fmt --all -- --check
    rustfmt --check --edition 2024 crates/fuzz/libfuzzer/fuzz_targets/*.rs
    step "the planted bugs still apply"
    local patch
    for patch in scripts/planted/*.patch; do
        git apply --check "$patch" || { echo "$patch does not apply any more: mend it, or take it out" >&2 && return 1; }
    done
    step "lints"
    cargo clippy --workspace --all-targets --quiet -- -D warnings
    cargo clippy --package chassis "${points[@]}" --all-targets --quiet -- -D warnings
    step "unit tests, the fuzz targets' corpora, the ledger's model, the house's rules, the door out"
    cargo test --workspace "${points[@]}" --quiet --lib --bins --test model --test house --test egress
}

e2e() {
    step "build"
    cargo build --workspace "${points[@]}" --quiet
    cargo test --workspace "${points[@]}" --no-run --quiet
    step "every test beside the real components"
    target/debug/stack exec -- \
        cargo test --workspace "${points[@]}" --quiet --no-fail-fast --test it --test million -- --include-ignored
    step "the tests in the sources that need them"
    target/debug/stack exec -- \
        cargo test --workspace "${points[@]}" --quiet --no-fail-fast --lib --bins -- --ignored
    step "the committed SQL data"
    target/debug/stack exec --only postgres --migrations migrations -- scripts/offline-data.sh --check
}

crash() {
    step "build"
    cargo build --workspace "${points[@]}" --quiet
    step "ten rounds: the old way and the new one, killed in the middle"
    target/debug/stack crash-test --rounds 10 "$@"
}

chaos() {
    step "build"
    cargo build --workspace "${points[@]}" --quiet
    step "five minutes of chaos"
    target/debug/stack chaos --seed 20261126 --minutes 5 "$@"
}

case $what in
    unit) unit ;;
    e2e) e2e ;;
    crash) crash "${@:2}" ;;
    chaos) chaos "${@:2}" ;;
    # Not joined with &&, which would switch off the end at the first failure.
    all)
        unit
        e2e
        chaos
        ;;
esac
step "all is well"
