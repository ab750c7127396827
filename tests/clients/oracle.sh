#!/usr/bin/env bash
# Runs the scripts that state PostgreSQL's answers against a private PostgreSQL server.
# usage: tests/clients/oracle.sh /usr/lib/postgresql/15/bin
set -euo pipefail

bin=${1:?the folder of initdb and pg_ctl}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
work=$(mktemp -d)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# PostgreSQL does not run as root.
as_owner=()
if [ "$(id -u)" -eq 0 ]; then
  chown postgres "$work"
  as_owner=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi

finish() {
  (cd "$work" && "${as_owner[@]}" "$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1) || true
  rm -rf "$work"
}
trap finish EXIT

(
  cd "$work"
  "${as_owner[@]}" "$bin/initdb" -D data -U cenote -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
  "${as_owner[@]}" "$bin/pg_ctl" -D data -w -l log \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work -c fsync=off" start >/dev/null
)
CENOTE_ORACLE="host=127.0.0.1 port=$port user=cenote" \
  cargo test --locked --test cenote_tests -- --ignored --exact slt::postgresql_agrees
