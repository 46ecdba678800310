#!/usr/bin/env bash
# Fuzzes everything that reads what others send, with coverage (libFuzzer through cargo-fuzz, on the stable toolchain):
# scripts/fuzz.sh [SECONDS EACH] [TARGET…], by default a minute for each target. It prints what each of them ran and found.
# What is new stays in target/fuzz/corpus; an input that breaks a target, in target/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/tools.sh
. scripts/tools.sh

fuzzer=crates/fuzz/libfuzzer
known=()
for program in "$fuzzer"/fuzz_targets/*.rs; do known+=("$(basename "$program" .rs)"); done

seconds=60
if [[ ${1:-} =~ ^[0-9]+$ ]]; then seconds=$1 && shift; fi
for target in "$@"; do
    if [[ " ${known[*]} " != *" $target "* ]]; then
        echo "usage: scripts/fuzz.sh [SECONDS EACH] [TARGET…], the targets being ${known[*]}" >&2
        exit 2
    fi
done
[ $# -gt 0 ] || set -- "${known[@]}"

require_tools c++=build-essential
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "Installing cargo-fuzz, once: two or three minutes." >&2
    cargo install --locked --quiet cargo-fuzz
fi
[ -d target/fuzz/x86_64-unknown-linux-gnu ] || [ -d target/fuzz/aarch64-unknown-linux-gnu ] ||
    echo "The first build for fuzzing takes about ten minutes on two cores: all is compiled for coverage." >&2
# The versions that the product is built from; cargo adds libFuzzer to them.
cp Cargo.lock "$fuzzer/Cargo.lock"
export SQLX_OFFLINE=true
host=$(rustc -vV | sed -n 's/^host: //p')
# Without a sanitizer, which would need a nightly compiler: what is fuzzed is safe Rust, and overflow is checked.
cargo fuzz build --fuzz-dir "$fuzzer" --sanitizer none --target-dir target/fuzz --target "$host" >&2

failed=0
for target in "$@"; do
    echo "== $target, $seconds s" >&2
    found=target/fuzz/corpus/$target artifacts=target/fuzz/artifacts/$target/ log=target/fuzz/$target.log
    mkdir -p "$found" "$artifacts"
    result=well
    # An input that takes 10 s, or 2 GB, is one that breaks the target, too.
    "target/fuzz/$host/release/$target" "$found" "crates/fuzz/corpus/$target" -max_total_time="$seconds" \
        -artifact_prefix="$artifacts" -timeout=10 -max_len=16384 -print_final_stats=1 >"$log" 2>&1 || result=BROKEN
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    echo "$target: $result, ${executions:-0} executions in $seconds s, coverage ${coverage:-?}"
    if [ "$result" != well ]; then
        failed=1
        grep -a -m3 -E 'panicked|ERROR|Test unit written' -A1 "$log" || true
        echo "$target: the whole of it is in $log. Make the input smaller with"
        echo "    cargo fuzz tmin --fuzz-dir $fuzzer --sanitizer none --target-dir target/fuzz $target FILE"
        echo "and put it into crates/fuzz/corpus/$target, where every test run tries it."
    fi
done
exit $failed
