"""Single-row INSERTs in autocommit with full durability, early and late in a table's life, and a scan after them."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow
from deltalake import DeltaTable, write_deltalake

from .. import postgres
from ..bench import Bench
from ..cenote import Server
from ..report import Figure
from ..turns import Side, in_turn

EARLY, LATE = 30, 3_000
# Rows of a measured block.
BLOCK = 50
# deltalake's commits are slow and become slower; it gets fewer, and its late is this version.
PEER_BLOCK, PEER_LATE = 10, 300


def run(bench: Bench) -> None:
    """Measures the disk, the INSERTs and the scan."""
    folder = bench.folder("inserts")
    fsync = _fsync_seconds(folder)
    bench.report.add(Figure("inserts", "write and fsync of 4 KiB in a new file", fsync))
    bin = postgres.programs()
    with Server(bench.binary, folder / "cenote") as server:
        if bin:
            with postgres.Postgres(bin, folder / "postgres") as peer:
                _measure(bench, server, peer, folder)
        else:
            bench.report.note("inserts: no PostgreSQL server here, so its part is left out")
            _measure(bench, server, None, folder)


def _measure(bench: Bench, server: Server, peer: postgres.Postgres | None, folder: Path) -> None:
    ours = Rows.by_statement(server)
    theirs = Rows.by_statement(peer) if peer else None
    delta = Rows.by_deltalake(folder / "deltalake")
    for version, delta_version in ((EARLY, EARLY), (LATE, PEER_LATE)):
        ours.fill(version)
        sides = [Side("Cenote", lambda: ours.add(BLOCK))]
        if theirs:
            theirs.fill(version)
            sides.append(Side("PostgreSQL 15", lambda: theirs.add(BLOCK)))
        delta.fill(delta_version)
        sides.append(Side("deltalake", lambda: delta.add(PEER_BLOCK)))
        turns = in_turn(sides, bench.rounds, warm=False)
        per_row = {name: [s / BLOCK for s in seconds] for name, seconds in turns.seconds.items()}
        per_row["deltalake"] = [s / PEER_BLOCK for s in turns.seconds["deltalake"]]
        late = version == LATE
        name = f"INSERT of a row at version {version:,}"
        if late:
            bench.report.add(Figure("inserts", f"{name}, beside version {EARLY}", per_row["Cenote"], "itself", early, ratio_goal=1.1))
        else:
            early = per_row["Cenote"]
            bench.report.add(Figure("inserts", name, early, count=1, value_goal=1 / 300))
        if theirs:
            bench.report.add(Figure("inserts", name, per_row["Cenote"], "PostgreSQL 15", per_row["PostgreSQL 15"], count=1))
        where = f"deltalake at {delta_version}" if late else "deltalake"
        bench.report.add(Figure("inserts", name, per_row["Cenote"], where, per_row["deltalake"], count=1))
    _scan(bench, ours, theirs, delta)


def _scan(bench: Bench, ours: "Rows", theirs: "Rows | None", delta: "Rows") -> None:
    for rows in filter(None, (ours, theirs, delta)):
        assert rows.scan() == (rows.count, sum(range(rows.count))), f"{rows.name}: {rows.scan()} of {rows.count} rows"
    sides = [Side(rows.name, rows.scan) for rows in filter(None, (ours, theirs))]
    turns = in_turn(sides, bench.rounds)
    bench.report.add(Figure("inserts", f"scan of {ours.count:,} rows after them", turns.seconds["Cenote"],
                            *(("PostgreSQL 15", turns.seconds["PostgreSQL 15"]) if theirs else ()), value_goal=0.3))


class Rows:
    """A table that grows a row at a time: the numbers from 0 on."""

    def __init__(self, name: str, insert: Callable[[int], object], scan: Callable[[], tuple[int, int]]) -> None:
        self.name = name
        self.count = 0
        self._insert = insert
        self.scan = scan

    @classmethod
    def by_statement(cls, server: Server | postgres.Postgres) -> "Rows":
        """In a server, by INSERT with parameters."""
        connection = server.connect()
        connection.execute("CREATE TABLE events (id bigint, at timestamp, note text)")

        def scan() -> tuple[int, int]:
            [(count, total)] = connection.execute("SELECT count(*), sum(id) FROM events").fetchall()
            return count, int(total)

        insert = "INSERT INTO events VALUES (%s, '2026-01-01 12:00:00', 'one of many')"
        name = "Cenote" if isinstance(server, Server) else "PostgreSQL 15"
        return cls(name, lambda n: connection.execute(insert, (n,)), scan)

    @classmethod
    def by_deltalake(cls, folder: Path) -> "Rows":
        """In a Delta table, by the Python package deltalake (which calls no fsync)."""
        schema = pyarrow.schema([("id", pyarrow.int64()), ("at", pyarrow.timestamp("us")), ("note", pyarrow.string())])
        at = 1_767_268_800_000_000
        table = DeltaTable.create(str(folder), schema)

        def insert(n: int) -> None:
            row = pyarrow.table({"id": [n], "at": pyarrow.array([at], pyarrow.timestamp("us")), "note": ["one of many"]}, schema)
            write_deltalake(table, row, mode="append")

        def scan() -> tuple[int, int]:
            numbers = DeltaTable(str(folder)).to_pyarrow_table(columns=["id"])["id"]
            return len(numbers), sum(numbers.to_pylist())

        return cls("deltalake", insert, scan)

    def add(self, rows: int) -> None:
        """Inserts this many."""
        for _ in range(rows):
            self._insert(self.count)
            self.count += 1

    def fill(self, rows: int) -> None:
        """Inserts until there are this many."""
        self.add(rows - self.count)


def _fsync_seconds(folder: Path) -> list[float]:
    """What one small durable write costs here, the median of 40, five times."""
    def once(number: int) -> float:
        start = time.perf_counter()
        file = os.open(folder / f"fsync-{number}", os.O_CREAT | os.O_WRONLY)
        os.write(file, bytes(4096))
        os.fsync(file)
        os.close(file)
        return time.perf_counter() - start

    return [statistics.median(once(40 * block + i) for i in range(40)) for block in range(5)]
