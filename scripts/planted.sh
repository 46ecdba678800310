#!/usr/bin/env bash
# Plants one bug at a time in a copy of the tree, and runs the test that must find it. A bug that nobody finds is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
# shellcheck source=scripts/tools.sh
. scripts/tools.sh

[ $# -gt 0 ] || set -- scripts/planted/*.patch
for patch in "$@"; do
    [ -f "$patch" ] || { echo "usage: scripts/planted.sh [scripts/planted/NAME.patch …]; there is no $patch" >&2 && exit 2; }
done
require_tools
announce_build debug 6
tree=$root/target/planted/tree
export SQLX_OFFLINE=true CARGO_TARGET_DIR=$root/target/planted/target
mkdir -p "$root/target/planted"
git worktree prune
trap 'git worktree remove --force "$tree" 2>/dev/null || true' EXIT
git worktree remove --force "$tree" 2>/dev/null || true
git worktree add --quiet --detach "$tree" HEAD

# What the test of this package needs. The tests of stack run all services.
build() {
    cd "$tree" || return
    if [ "$1" = stack ]; then
        cargo build --workspace --bins --quiet || return
    fi
    cargo test --package "$1" --no-run --quiet
}

missed=0
for patch in "$@"; do
    name=$(basename "$patch" .patch)
    log=$root/target/planted/$name.log
    # The head of each patch says what it plants, and which test finds it.
    test=$(sed -n 's/^Test: //p' "$patch")
    package=$(sed -n 's/^Test: .* -p \([a-z-]*\) .*/\1/p' "$patch")
    echo "== $name: $(sed -n 's/^Bug: //p' "$patch")" >&2
    git -C "$tree" checkout --quiet --force HEAD
    git -C "$tree" apply "$root/$patch"
    if ! (build "$package") >"$log" 2>&1; then
        echo "   it does not build: see $log" >&2
        missed=1
    elif (cd "$tree" && eval "$test") >>"$log" 2>&1; then
        echo "   NOT FOUND by: $test" >&2
        missed=1
    elif grep -q '^test result: FAILED' "$log"; then
        echo "   found by: $test" >&2
        grep -A 2 'panicked at' "$log" | head -4 | cut -c 1-240 | sed 's/^/   | /' >&2
    else
        echo "   the test did not run to its end: see $log" >&2
        missed=1
    fi
done
[ "$missed" = 0 ] && echo "== each bug was found" >&2
exit "$missed"
