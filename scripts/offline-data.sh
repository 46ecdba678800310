#!/usr/bin/env bash
# Writes .sqlx, the data with which the checked SQL compiles without a database. --check compares instead.
# Needs a superuser's DATABASE_URL: target/debug/stack exec --only postgres -- scripts/offline-data.sh
set -euo pipefail
cd "$(dirname "$0")/.."
: "${DATABASE_URL:?say: target/debug/stack exec --only postgres -- scripts/offline-data.sh}"

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
# The service refuses a password in a URL; PostgreSQL's own variable carries it.
password=$(sed -E 's#^[^:]+://[^:@/]+:([^@]*)@.*#\1#' <<<"$DATABASE_URL")
PGPASSWORD=$password SQLX_OFFLINE=true cargo run --quiet --package data-service -- migrate \
    --database-url "$(sed -E 's#(://[^:@/]+):[^@]*@#\1@#' <<<"$DATABASE_URL")"
touch crates/store/src/lib.rs
SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$fresh cargo build --quiet --package store
if [ "${1:-}" = --check ]; then
    diff -r "$fresh" .sqlx >&2 || { echo "The SQL or the schema has changed: run scripts/offline-data.sh and commit .sqlx" >&2; exit 1; }
else
    rm -rf .sqlx && cp -r "$fresh" .sqlx
fi
