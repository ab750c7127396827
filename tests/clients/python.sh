#!/usr/bin/env bash
# Prints the path of a Python that has the packages of a list of requirements. They are installed once for each list;
# afterwards no network is needed.
# usage: tests/clients/python.sh path/to/requirements.txt
set -euo pipefail

requirements=${1:?a list of requirements}
cache=${CENOTE_CLIENTS_CACHE:-$HOME/.cache/cenote/clients}
folder="$cache/$(sha256sum "$requirements" | cut -c1-16)"
if ! [ -e "$folder/bin/.complete" ]; then
  echo "== installing the packages of $requirements" >&2
  rm -rf "$folder"
  python3 -m venv "$folder" >&2
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
  touch "$folder/bin/.complete"
fi
echo "$folder/bin/python"
