#!/usr/bin/env bash
# Measures Cenote beside real alternatives, in turn, and prints a table of ratios.
# usage: tests/bench/run.sh [--only tpch,rows,inserts,dml,predict,open,memory] [--rounds N] [--long] [--json FILE] [--binary PATH]
# Without --binary it makes the release build first. PostgreSQL's part is left out where its server is not installed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${CENOTE_BENCH_CACHE:-$HOME/.cache/cenote/bench}
given=("$@")

# The packages are installed once for each list of requirements; afterwards no network is needed.
venv="$cache/$(sha256sum "$here/requirements.txt" | cut -c1-16)"
if ! [ -e "$venv/.complete" ]; then
  echo "== installing the Python packages"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  touch "$venv/.complete"
fi

if ! [[ " ${given[*]-} " =~ " --binary"|" -h "|" --help " ]]; then
  export CARGO_TARGET_DIR=${CENOTE_TARGET_DIR:-$HOME/.cache/cenote/target}
  (cd "$here/../.." && cargo build --release --locked --bin cenote)
  given+=(--binary "$CARGO_TARGET_DIR/release/cenote")
fi

PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" -m beside --cache "$cache" ${given[@]+"${given[@]}"}
