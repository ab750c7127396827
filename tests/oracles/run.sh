#!/usr/bin/env bash
# Oracles in bounded runs: random statements, SELECTs and conditions beside other engines, and transfers under kill -9.
# usage: tests/oracles/run.sh path/to/cenote
set -euo pipefail

cenote=$(realpath "${1:?the path of the cenote binary}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$("$here/../clients/python.sh" "$here/requirements.txt")

cd "$here/.."
"$python" -m oracles.selftest
for program in faults dml selects predicates bank; do
  echo "== $program"
  "$python" -m "oracles.$program" --cenote "$cenote"
done
echo "oracles: all agree"
