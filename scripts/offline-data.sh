#!/usr/bin/env bash
# Writes .sqlx, the data with which the checked SQL compiles without a database. --check compares instead.
# Needs a database with the migrations: target/debug/stack exec --only postgres --migrations migrations -- scripts/offline-data.sh
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?say: target/debug/stack exec --only postgres --migrations migrations -- scripts/offline-data.sh}"

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
touch crates/store/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$fresh cargo build --quiet --package store
if [ "${1:-}" = --check ]; then
    diff -r "$fresh" .sqlx >&2 || { echo "The SQL or the schema has changed: run scripts/offline-data.sh and commit .sqlx" >&2; exit 1; }
else
    rm -rf .sqlx && cp -r "$fresh" .sqlx
fi
