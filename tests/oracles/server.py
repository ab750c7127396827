"""A `cenote serve` process on a warehouse, and its tables as the Python package deltalake reads them from disk."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg
from deltalake import DeltaTable

Row = tuple[Any, ...]


class Server:
    """One server: started at once on a free port, stopped or killed by its own pid."""

    def __init__(self, cenote: Path, warehouse: Path, log: Path) -> None:
        self.warehouse = warehouse
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [str(cenote), "serve", "--data", str(warehouse), "--listen", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.process.wait()
            raise AssertionError(f"the server does not start: {line!r}\n{log.read_text()[-4000:]}")
        self.host, port = line.removeprefix("listening on ").strip().rsplit(":", 1)
        self.port = int(port)

    def connect(self) -> psycopg.Connection[Row]:
        """A session that commits each statement by itself and shows times in UTC."""
        return psycopg.connect(host=self.host, port=self.port, user="cenote", dbname="cenote",
                               autocommit=True, connect_timeout=30, options="-c TimeZone=UTC")

    def kill(self) -> None:
        """kill -9, in the middle of whatever it does."""
        self.process.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """The polite end, which must succeed."""
        self.process.terminate()
        self._reap()
        assert self.process.returncode == 0, f"the server ended with {self.process.returncode}"

    def _reap(self) -> None:
        self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self.process.poll() is None:
            self.kill() if kind else self.stop()


def table_path(warehouse: Path, name: str) -> str:
    """The folder of a table of schema public."""
    found = list(warehouse.glob(f"public/{name}-*"))
    assert len(found) == 1, f"folders of {name}: {found}"
    return str(found[0])


def rows_on_disk(path: str, columns: list[str]) -> list[Row]:
    """All rows of a Delta table, read by the Python package deltalake."""
    table = DeltaTable(path).to_pyarrow_table(columns=columns)
    return list(zip(*(table.column(name).to_pylist() for name in columns)))
