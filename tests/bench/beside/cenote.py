"""A `cenote serve` process, and one-off `cenote sql` runs."""

import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg


class Server:
    """A server on a free port of the loopback interface. Leaving the `with` ends it with SIGTERM."""

    def __init__(self, binary: Path, data: Path, *options: str) -> None:
        self._log = tempfile.TemporaryFile("w+")
        command = [str(binary), "serve", "--data", str(data), "--listen", "127.0.0.1:0", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("listening on "):
            self._process.wait()
            raise RuntimeError(f"the server did not start: {line}{self.log()}")
        self.host, _, port = line.removeprefix("listening on ").strip().rpartition(":")
        self.port = int(port)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
        if kind and (said := self.log()):
            print(f"--- the server's log\n{said[-4000:]}", flush=True)

    def stop(self) -> None:
        """Ends the server and waits for it."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()

    def log(self) -> str:
        """What the server has written to standard error."""
        self._log.seek(0)
        return self._log.read()

    @property
    def address(self) -> str:
        """The connection string for libpq."""
        return f"host={self.host} port={self.port} user=cenote dbname=cenote"

    def connect(self) -> psycopg.Connection[Any]:
        """A connection that commits every statement."""
        return psycopg.connect(self.address, autocommit=True)

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes of memory: `VmRSS` now, `VmHWM` at most."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"no {field}")


def has_option(binary: Path, option: str) -> bool:
    """Whether `cenote serve` knows an option."""
    said = subprocess.run([binary, "serve", "--help"], capture_output=True, text=True, check=True)
    return option in said.stdout


def table_folder(warehouse: Path, schema: str, table: str) -> Path:
    """Where a table's files are."""
    [folder] = (warehouse / schema).glob(f"{table}-*")
    return folder
