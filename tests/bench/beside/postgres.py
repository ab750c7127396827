"""A private PostgreSQL server with its ordinary durability (fsync on)."""

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg


def programs() -> Path | None:
    """The folder of initdb and pg_ctl of the newest PostgreSQL here, if there is one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    if found:
        return found[-1]
    path = shutil.which("initdb")
    return Path(path).parent if path else None


class Postgres:
    """A server in a folder of its own. Leaving the `with` stops it."""

    def __init__(self, bin: Path, folder: Path) -> None:
        self._bin = bin
        self._folder = folder
        folder.mkdir()
        # PostgreSQL does not run as root.
        self._owner: int | None = None
        if os.getuid() == 0:
            self._owner = pwd.getpwnam("postgres").pw_uid
            os.chown(folder, self._owner, -1)
        self._run("initdb", "-D", "data", "-U", "cenote", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        self.port = _free_port()
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder),
                    "shared_buffers": "1GB", "max_wal_size": "4GB"}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", f"-p {self.port} {options}", "start")

    def _run(self, program: str, *arguments: str) -> None:
        # Output goes to a file: a pipe would be held open by the server that pg_ctl leaves behind.
        with open(self._folder / "said", "w+") as said:
            done = subprocess.run([self._bin / program, *arguments], cwd=self._folder, user=self._owner, stdout=said, stderr=said)
            if done.returncode:
                said.seek(0)
                raise RuntimeError(f"{program}: {said.read()}")

    def __enter__(self) -> "Postgres":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._run("pg_ctl", "-D", "data", "-m", "immediate", "stop")

    @property
    def address(self) -> str:
        """The connection string for libpq."""
        return f"host=127.0.0.1 port={self.port} user=cenote dbname=postgres"

    def connect(self) -> psycopg.Connection[Any]:
        """A connection that commits every statement."""
        return psycopg.connect(self.address, autocommit=True)


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
