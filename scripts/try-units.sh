#!/usr/bin/env bash
# Starts the units that `nix build .#units` has rendered in the systemd of this host, and tries what their users rely on:
# they say that they are ready, come back after SIGKILL, and take a changed credential on restart. As root, on a host
# where none of them is installed. Leaves nothing behind; secrets that were there before stay as they were.
#   scripts/try-units.sh [DIRECTORY, by default result]
set -euo pipefail

units=$(realpath "${1:-result}")
[ "$(id -u)" = 0 ] || { echo "run this as root: it starts system services" >&2; exit 2; }
[ -d /run/systemd/system ] || { echo "this host does not run systemd" >&2; exit 2; }
[ -e "$units/everhook-portal.service" ] || { echo "there are no units in $units: run nix build .#units first" >&2; exit 2; }
command -v curl >/dev/null || { echo "install curl first" >&2; exit 2; }

names=()
for file in "$units"/everhook-*.service; do
    names+=("$(basename "$file")")
done
services=()
for name in "${names[@]}"; do
    [ "$name" = everhook-secrets.service ] || services+=("$name")
done
for name in "${names[@]}"; do
    ! systemctl cat "$name" >/dev/null 2>&1 || { echo "$name is installed on this host already" >&2; exit 2; }
done

secrets=/var/lib/everhook-secrets
had_secrets=false
[ ! -e "$secrets" ] || had_secrets=true

clean_up() {
    systemctl stop "${names[@]}" 2>/dev/null
    for name in "${names[@]}"; do
        rm -f "/run/systemd/system/$name"
    done
    systemctl daemon-reload
    $had_secrets || rm -rf "$secrets"
}
trap clean_up EXIT

step() { echo "== $*"; }
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
property() { systemctl show --property="$2" --value "$1"; }
# Polls until the command succeeds; after 30 s it fails with what the unit is and what it said last.
wait_until() { # unit, what is awaited, command ...
    local unit=$1 what=$2 deadline=$((SECONDS + 30))
    shift 2
    until "$@"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            set +e # status ends with the unit's state
            systemctl --no-pager --full status "$unit" >&2
            fail "$unit: $what did not come true within 30 s"
        fi
        sleep 0.1
    done
}
is_another() { [ "$(property "$1" ActiveState)" = active ] && [ "$(property "$1" MainPID)" != "$2" ]; }
answers() { [ "$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 5 "$@")" = "$expected" ]; }

mkdir -p /run/systemd/system
for name in "${names[@]}"; do
    ln -s "$(realpath "$units/$name")" "/run/systemd/system/$name"
done
systemctl daemon-reload

step "each says that it is ready"
for name in "${services[@]}"; do
    # Type=notify: start returns when the service has said so.
    systemctl start "$name" || { journalctl --no-pager --lines 20 --unit "$name" >&2; fail "$name does not start"; }
    [ "$(property "$name" Type)" = notify ] || fail "$name is of the type $(property "$name" Type)"
    echo "$name: $(property "$name" ActiveState), pid $(property "$name" MainPID), user $(ps -o user= -p "$(property "$name" MainPID)")"
done

step "each comes back after SIGKILL"
for name in "${services[@]}"; do
    before=$(property "$name" MainPID)
    systemctl kill --signal=SIGKILL "$name"
    wait_until "$name" "another process" is_another "$name" "$before"
    [ "$(property "$name" NRestarts)" = 1 ] || fail "$name was restarted $(property "$name" NRestarts) times"
    echo "$name: pid $before, now $(property "$name" MainPID)"
done

step "a request waits while its service is restarted"
for name in "${services[@]}"; do
    [ "$(property "$name" FileDescriptorStoreMax)" != 0 ] || continue
    # Its flag says where it listens.
    listen=$(systemctl cat "$name" | sed -n 's/^ExecStart=.*--listen"\{0,1\} "\{0,1\}\([0-9.:]*\).*/\1/p')
    asked=$(mktemp)
    (while [ -e "$asked" ]; do curl --silent --output /dev/null --write-out '%{http_code}\n' --max-time 30 "http://$listen/health" || true; done) >"$asked.codes" &
    asking=$!
    for _ in 1 2 3; do systemctl restart "$name"; done
    rm "$asked"
    wait "$asking"
    failed=$(grep -vc '^200$' "$asked.codes" || true)
    answered=$(grep -c '^200$' "$asked.codes" || true)
    rm "$asked.codes"
    [ "$failed" = 0 ] && [ "$answered" -gt 0 ] || fail "$name: $failed requests failed while it was restarted, $answered were answered"
    echo "$name: $answered requests at $listen, none failed"
done

step "a changed credential counts after a restart"
token=$secrets/operator-token
url=http://127.0.0.1:3003/parked-records
ask() { # token: none of the answers needs the database, for that is elsewhere
    curl --silent --output /dev/null --write-out '%{http_code}' --max-time 20 --header "Authorization: Bearer $1" "$url"
}
old=$(cat "$token")
expected=200
wait_until everhook-portal.service "an answer" answers http://127.0.0.1:3003/health
first=$(ask "$old")
[ "$first" != 401 ] || fail "the portal does not take its operator's token"
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$token.new"
mv "$token.new" "$token"
new=$(cat "$token")
[ "$(ask "$new")" = 401 ] || fail "the new token counts before the restart"
systemctl restart everhook-portal.service
[ "$(ask "$old")" = 401 ] || fail "the old token still counts"
[ "$(ask "$new")" != 401 ] || fail "the new token does not count"
if $had_secrets; then printf '%s' "$old" >"$token"; fi
echo "everhook-portal.service: the old token answers 401, the new one $(ask "$new")"

step "each stops when it is asked to"
for name in "${services[@]}"; do
    systemctl stop "$name"
    result=$(property "$name" Result)
    [ "$result" = success ] || fail "$name ended with $result"
done

step "all is well: ${#services[@]} services"
