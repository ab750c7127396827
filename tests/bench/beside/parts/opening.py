"""Opening a warehouse of 3,000 commits and 200 tables: from the start of the process to the first answer."""

import subprocess

from ..bench import Bench
from ..cenote import Server
from ..report import Figure
from ..turns import Side, in_turn

TABLES, COMMITS = 200, 3_000


def run(bench: Bench) -> None:
    """Makes the warehouse through a server, then opens it again and again."""
    folder = bench.folder("opening")
    with Server(bench.binary, folder) as server:
        connection = server.connect()
        for n in range(TABLES):
            connection.execute(f"CREATE TABLE t{n} (id bigint, note text)")
        for n in range(COMMITS - TABLES):
            connection.execute(f"INSERT INTO t{n % TABLES} VALUES ({n}, 'a row')")
    rows = (COMMITS - TABLES) // TABLES
    query = "SELECT count(*) FROM t0"

    def serve() -> None:
        with Server(bench.binary, folder) as server:
            answer = server.connect().execute(query).fetchone()
            assert answer == (rows,), answer

    def sql() -> None:
        command = [str(bench.binary), "sql", "--data", str(folder), "--format", "csv", "-c", query]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert said.split() == ["count", str(rows)], said

    turns = in_turn([Side("serve", serve), Side("sql", sql)], bench.rounds)
    what = f"{COMMITS:,} commits, {TABLES} tables"
    bench.report.add(Figure("open", f"{what}: cenote serve, connect, answer, end", turns.seconds["serve"], value_goal=1.0))
    bench.report.add(Figure("open", f"{what}: cenote sql -c", turns.seconds["sql"], value_goal=1.0))
