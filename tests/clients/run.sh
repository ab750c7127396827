#!/usr/bin/env bash
# Outside clients against a running server: psql, psycopg 3; then outside readers on its tables.
# usage: tests/clients/run.sh path/to/cenote
set -euo pipefail

cenote=$(realpath "${1:?the path of the cenote binary}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
server=

finish() {
  status=$?
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ "$status" -ne 0 ] && [ -s "$work/log" ]; then
    echo "--- the server's log" >&2
    tail -n 60 "$work/log" >&2
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT

python=$("$here/python.sh" "$here/requirements.txt")

mkfifo "$work/ready"
(cd "$here/../data" && exec "$cenote" serve --data "$work/warehouse" --listen 127.0.0.1:0) >"$work/ready" 2>"$work/log" &
server=$!
read -r line <"$work/ready"
address=${line#listening on }
export PGHOST=${address%:*} PGPORT=${address##*:} PGUSER=cenote PGDATABASE=cenote PGCONNECT_TIMEOUT=30
export CENOTE_WAREHOUSE="$work/warehouse"
echo "== a server listens on $address"

cd "$here"
for script in catalog tour; do
  echo "== psql: $script.sql"
  # Hints and details are our own words; everything else is PostgreSQL's.
  psql -X -a -f "$script.sql" </dev/null 2>&1 | grep -v '^HINT: \|^DETAIL: ' >"$work/$script.out" || true
  diff -u "$script.expected" "$work/$script.out"
done

echo "== psql: \\l and \\dn"
psql -X -A -t -c '\l' | grep -q '^cenote|'
for schema in information_schema ml pg_catalog public system; do
  psql -X -A -t -c '\dnS' | grep -q "^$schema|" || { echo "\\dnS does not show $schema" >&2; exit 1; }
done

echo "== psycopg 3"
"$python" tour.py

echo "== deltalake, polars, duckdb"
"$python" readers.py

echo "== the server ends on SIGTERM"
kill -TERM "$server"
wait "$server"
server=
echo "clients: all agree"
