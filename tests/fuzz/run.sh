#!/usr/bin/env bash
# Random statements against a running server: none may end in an internal error, nor end the server.
# usage: tests/fuzz/run.sh path/to/cenote [statements]
# CENOTE_FUZZ_SEED=n runs a seed again.
set -euo pipefail

cenote=$(realpath "${1:?the path of the cenote binary}")
statements=${2:-1000}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
seed=${CENOTE_FUZZ_SEED:-$((RANDOM * 32768 + RANDOM))}
work=$(mktemp -d)
server=

finish() {
  status=$?
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ "$status" -ne 0 ]; then
    echo "--- failures (CENOTE_FUZZ_SEED=$seed)" >&2
    head -c 20000 "$work/report" >&2 || true
    echo "--- the server's log" >&2
    tail -n 60 "$work/log" >&2 || true
  fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT

mkfifo "$work/ready"
"$cenote" serve --data "$work/warehouse" --listen 127.0.0.1:0 >"$work/ready" 2>"$work/log" &
server=$!
read -r line <"$work/ready"
address=${line#listening on }
connection="host=${address%:*} port=${address##*:} user=cenote dbname=cenote"

psql -X -q -v ON_ERROR_STOP=1 -f "$here/schema.sql" "$connection" </dev/null
echo "CENOTE_FUZZ_SEED=$seed, $statements statements"
python3 "$here/sqlsmith.py" "$address" "$seed" "$statements" "$work/report"

# It goes on as before, and nothing panicked on the way.
[ "$(psql -X -A -t -c 'SELECT count(*) > 0 FROM pg_class' "$connection" </dev/null)" = t ]
if grep -n panic "$work/log" >&2; then
  echo "the server panicked" >&2
  exit 1
fi
kill -TERM "$server"
wait "$server"
server=
echo "fuzz: no internal error"
