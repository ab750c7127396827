"""Many rows to clients: 2 million rows of 8 columns beside PostgreSQL; on request 50 million, with the server's memory."""

import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq

from .. import duck, postgres
from ..bench import Bench
from ..cenote import Server
from ..report import Figure
from ..turns import Side

ROWS = 2_000_000
COLUMNS = "id integer, big bigint, ratio double precision, amount numeric(12,2), name text, day date, at timestamp, flag boolean"
QUERY = "SELECT * FROM wide"
# Every value follows from its row's number; some are NULL.
DATA = f"""
SELECT n::INTEGER AS id, (n * 7919 % 1000003)::BIGINT * 1000003 AS big, sqrt(n) AS ratio,
       CASE WHEN n % 11 > 0 THEN (n * 37 % 10000000)::DECIMAL(12,2) / 100 END::DECIMAL(12,2) AS amount,
       CASE WHEN n % 7 > 0 THEN 'name ' || (n * 31 % 50000) END AS name, DATE '2020-01-01' + (n % 2000)::INTEGER AS day,
       TIMESTAMP '2024-01-01' + to_microseconds(n * 1000003) AS at, n % 3 = 0 AS flag
FROM range(1, {ROWS + 1}) AS t(n)
"""
# The fifty million: every row of the two million this often.
REPEAT = 25
CHUNK_ROWS = 10_000


def run(bench: Bench) -> None:
    """Measures both."""
    folder = bench.folder("rows")
    connection = duck.connect()
    connection.execute(f"COPY ({DATA}) TO '{folder}/wide.parquet' (FORMAT parquet)")
    connection.execute(f"COPY (FROM '{folder}/wide.parquet') TO '{folder}/wide.csv' (FORMAT csv, HEADER false)")
    with Server(bench.binary, folder / "cenote") as server:
        ours = server.connect()
        ours.execute(f"CREATE TABLE wide ({COLUMNS})")
        ours.execute(f"COPY wide FROM '{folder}/wide.parquet'")
        bin = postgres.programs()
        if bin:
            with postgres.Postgres(bin, folder / "postgres") as peer:
                _beside_postgres(bench, server, peer, folder / "wide.csv")
        else:
            bench.report.note("rows: no PostgreSQL server here, so its part is left out")
        if bench.long:
            _fifty_million(bench, server)


def _beside_postgres(bench: Bench, server: Server, peer: postgres.Postgres, csv: Path) -> None:
    theirs = peer.connect()
    theirs.execute(f"CREATE TABLE wide ({COLUMNS})")
    with theirs.cursor().copy("COPY wide FROM STDIN (FORMAT csv)") as copy, csv.open("rb") as file:
        while chunk := file.read(1 << 20):
            copy.write(chunk)
    theirs.execute("VACUUM ANALYZE wide")
    _same_text(bench, server.address, peer.address)

    def beside(name: str, work: Callable[[psycopg.Connection[Any]], object], goal: float | None = 1.0) -> None:
        with server.connect() as a, peer.connect() as b:
            bench.compare("rows", name, Side("Cenote", lambda: work(a)), Side("PostgreSQL 15", lambda: work(b)),
                          count=ROWS, ratio_goal=goal)

    beside("psycopg, text", lambda c: _fetch(c, binary=False))
    beside("psycopg, binary", lambda c: _fetch(c, binary=True))
    # libpq without psycopg's conversion to Python objects, which takes most of the time above.
    beside("libpq, text", lambda c: _receive(c, QUERY, binary=False))
    beside("libpq, binary", lambda c: _receive(c, QUERY, binary=True))
    beside("COPY TO STDOUT, text", lambda c: _copy(c, ""))
    beside("COPY TO STDOUT, binary", lambda c: _copy(c, "(FORMAT binary)"))
    bench.compare("rows", "psql", Side("Cenote", lambda: _psql(server.address, QUERY)),
                  Side("PostgreSQL 15", lambda: _psql(peer.address, QUERY)), count=ROWS, ratio_goal=1.0)


def _fetch(connection: psycopg.Connection[Any], binary: bool) -> None:
    rows = connection.cursor(binary=binary).execute(QUERY).fetchall()
    assert len(rows) == ROWS, len(rows)


def _receive(connection: psycopg.Connection[Any], query: str, binary: bool) -> None:
    form = pq.Format.BINARY if binary else pq.Format.TEXT
    result = connection.pgconn.exec_params(query.encode(), None, result_format=form)
    assert result.ntuples == ROWS, result.error_message


def _copy(connection: psycopg.Connection[Any], options: str) -> None:
    size = 0
    with connection.cursor().copy(f"COPY wide TO STDOUT {options}") as copy:
        for chunk in copy:
            size += len(chunk)
    assert size > 40 * ROWS, size


def _psql(address: str, query: str) -> None:
    subprocess.run(["psql", "-X", "-q", "-A", "-t", "-o", "/dev/null", "-c", query, address], check=True)


def _same_text(bench: Bench, ours: str, theirs: str) -> None:
    """psql shows the same bytes for both."""
    def digest(address: str) -> str:
        command = ["psql", "-X", "-q", "-A", "-t", "-c", QUERY + " ORDER BY id", address]
        return hashlib.sha256(subprocess.run(command, check=True, capture_output=True).stdout).hexdigest()

    same = digest(ours) == digest(theirs)
    bench.report.note(f"rows: psql's output for {ROWS:,} rows is {'the same as' if same else 'NOT that of'} PostgreSQL")


def _fifty_million(bench: Bench, server: Server) -> None:
    query = f"SELECT wide.* FROM wide CROSS JOIN generate_series(1, {REPEAT}) AS g(n)"
    for name, read in (("extended protocol", _stream), ("simple protocol", _stream_simple), ("COPY", _stream_copy)):
        with server.connect() as connection:
            started = time.perf_counter()
            rows, first, memory = 0, 0.0, []
            for count in read(connection, query):
                first = first or time.perf_counter() - started
                rows += count
                memory.append(server.memory())
            seconds = time.perf_counter() - started
        count = rows or ROWS * REPEAT
        bench.report.add(Figure("rows", f"{count:,} rows, {name}", [seconds], count=count))
        bench.report.add(Figure("rows", f"{count:,} rows, {name}: first row after", [first]))
        early, late = max(memory[: len(memory) // 10]) / 2**20, max(memory) / 2**20
        bench.report.add(Figure("rows", f"{count:,} rows, {name}: resident size at most", [late], "in the first tenth", [early],
                                unit="MiB", ratio_goal=1.1))


def _results(connection: psycopg.Connection[Any]) -> Iterator[int]:
    raw = connection.pgconn
    raw.set_chunked_rows_mode(CHUNK_ROWS)
    while result := raw.get_result():
        if result.status == pq.ExecStatus.FATAL_ERROR:
            raise RuntimeError(result.error_message.decode())
        yield result.ntuples
        result.clear()


def _stream(connection: psycopg.Connection[Any], query: str) -> Iterator[int]:
    connection.pgconn.send_query_params(query.encode(), None)
    yield from _results(connection)


def _stream_simple(connection: psycopg.Connection[Any], query: str) -> Iterator[int]:
    connection.pgconn.send_query(query.encode())
    yield from _results(connection)


def _stream_copy(connection: psycopg.Connection[Any], query: str) -> Iterator[int]:
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT") as copy:
        rows = 0
        for chunk in copy:
            rows += bytes(chunk).count(b"\n")
            if rows >= CHUNK_ROWS:
                yield rows
                rows = 0
        yield rows
