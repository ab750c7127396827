"""Single-row INSERTs in autocommit with full durability, early and late in a table's life, and a scan after them."""

import os
from collections.abc import Callable
from functools import partial
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
    """Measures the INSERTs and the scan."""
    folder = bench.folder("inserts")
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
    early = _block(bench, EARLY, EARLY, folder, ours, theirs, delta, value_goal=1 / 300)
    late = _block(bench, LATE, PEER_LATE, folder, ours, theirs, delta)
    name = f"INSERT of a row at version {LATE:,}"
    bench.report.add(Figure("inserts", name, late, f"itself at version {EARLY}", early, ratio_goal=1.1))
    _scan(bench, ours, theirs, delta)


def _block(bench: Bench, version: int, delta_version: int, folder: Path, ours: "Rows", theirs: "Rows | None", delta: "Rows",
           value_goal: float | None = None) -> list[float]:
    """Measures blocks of INSERTs from a version on, and answers with our seconds a row."""
    tables = [(ours, version, BLOCK), *([(theirs, version, BLOCK)] if theirs else []), (delta, delta_version, PEER_BLOCK)]
    sides, sizes = [Side("fsync", lambda: _durable_writes(folder))], {"fsync": BLOCK}
    for table, rows, size in tables:
        table.fill(rows)
        sides.append(Side(table.name, partial(table.add, size)))
        sizes[table.name] = size
    turns = in_turn(sides, bench.rounds, warm=False)
    per_row = {name: [s / sizes[name] for s in seconds] for name, seconds in turns.seconds.items()}
    name, mine = f"INSERT of a row at version {version:,}", per_row[ours.name]
    bench.report.add(Figure("inserts", name, mine, "a new file of 4 KiB with fsync", per_row["fsync"], count=1, value_goal=value_goal))
    for table, rows, _ in tables[1:]:
        peer = table.name if rows == version else f"{table.name} at {rows}"
        bench.report.add(Figure("inserts", name, mine, peer, per_row[table.name], count=1))
    return mine


def _scan(bench: Bench, ours: "Rows", theirs: "Rows | None", delta: "Rows") -> None:
    for rows in filter(None, (ours, theirs, delta)):
        assert rows.scan() == (rows.count, sum(range(rows.count))), f"{rows.name}: {rows.scan()} of {rows.count} rows"
    turns = in_turn([Side(rows.name, rows.scan) for rows in filter(None, (ours, theirs))], bench.rounds)
    name = f"scan of {ours.count:,} rows after them"
    bench.report.add(Figure("inserts", name, turns.seconds[ours.name], value_goal=0.3))
    if theirs:
        bench.report.add(Figure("inserts", name, turns.seconds[ours.name], theirs.name, turns.seconds[theirs.name]))


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


def _durable_writes(folder: Path) -> None:
    """As many small durable writes as a block has rows: what the disk alone would take for one each."""
    for number in range(BLOCK):
        path = folder / f"durable-{number}"
        with path.open("wb") as file:
            file.write(bytes(4096))
            os.fsync(file.fileno())
        path.unlink()
