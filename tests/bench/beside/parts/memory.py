"""Queries larger than the server's memory limit spill and end right; training beyond it is refused, and the session lives."""

import re
import time
from typing import Any

import psycopg

from .. import duck, tpch
from ..answers import difference
from ..bench import Bench
from ..cenote import Server, has_option, table_folder
from ..report import Figure

OPTION, LIMIT = "--memory-limit", "512MiB"
# The joins with the most rows, among them q18, whose hash tables do not fit.
HEAVY = (5, 7, 8, 9, 13, 18, 21)
SORTED = "SELECT * FROM lineitem ORDER BY l_extendedprice DESC, l_orderkey, l_linenumber"


def run(bench: Bench) -> None:
    """Runs the queries under the limit, beside DuckDB's answers."""
    if not has_option(bench.binary, OPTION):
        bench.report.note(f"memory: left out, `cenote serve` has no option {OPTION}")
        return
    warehouse = tpch.warehouse(bench)
    with Server(bench.binary, warehouse, OPTION, LIMIT) as server, server.connect() as ours:
        ours.execute("SET search_path = tpch, public")
        theirs = duck.connect(bench.work)
        for table in tpch.TABLES:
            duck.attach(theirs, table, table_folder(warehouse, "tpch", table))
        for number in HEAVY:
            _query(bench, ours, theirs, number)
        _sort(bench, ours)
        _training(bench, ours)
        bench.report.add(Figure("memory", "resident size at most", [server.memory("VmHWM") / 2**20], unit="MiB"))


def _query(bench: Bench, ours: psycopg.Connection[Any], theirs: duck.Connection, number: int) -> None:
    query = tpch.queries()[number]
    start = time.perf_counter()
    try:
        rows = ours.execute(query).fetchall()
    except psycopg.Error as error:
        bench.report.note(f"memory: query {number} FAILS under {LIMIT}: {error.sqlstate} {error}")
        return
    seconds = time.perf_counter() - start
    wrong = difference(rows, theirs.execute(query).fetchall())
    name = f"query {number} under {LIMIT}: " + (f"WRONG: {wrong}" if wrong else "right")
    bench.report.add(Figure("memory", f"{name}, {_spills(ours, query)} spills", [seconds]))


def _spills(ours: psycopg.Connection[Any], query: str) -> int:
    """How often the query's operators wrote to disk what did not fit."""
    plan = "\n".join(row[-1] for row in ours.execute(f"EXPLAIN ANALYZE {query}").fetchall())
    return sum(int(count) for count in re.findall(r"spill_count=(\d+)", plan))


def _sort(bench: Bench, ours: psycopg.Connection[Any]) -> None:
    """All of lineitem in order: the keys must come in order, and no row may be missing."""
    [(rows, total)] = ours.execute("SELECT count(*), sum(l_extendedprice) FROM lineitem").fetchall()
    start = time.perf_counter()
    seen, added, last, ordered = 0, 0, None, True
    with ours.cursor().copy(f"COPY ({SORTED}) TO STDOUT") as copy:
        for row in copy.rows():
            price = int(row[5].replace(".", ""))
            key = (-price, int(row[0]), int(row[3]))
            ordered = ordered and (last is None or last < key)
            last = key
            seen, added = seen + 1, added + price
    seconds = time.perf_counter() - start
    right = ordered and seen == rows and added == int(total * 100)
    name = f"sort of lineitem under {LIMIT}: {'right' if right else 'WRONG'}"
    bench.report.add(Figure("memory", f"{name}, {_spills(ours, SORTED)} spills", [seconds], count=rows))


def _training(bench: Bench, ours: psycopg.Connection[Any]) -> None:
    columns = "l_extendedprice, l_quantity, l_discount, l_tax, l_partkey, l_suppkey, l_linenumber, l_shipmode, l_returnflag, l_comment"
    state = "nothing"
    try:
        ours.execute(f"CREATE MODEL too_large PREDICT l_extendedprice USING gradient_boosting AS SELECT {columns} FROM lineitem")
    except psycopg.Error as error:
        state = error.sqlstate or str(error)
    usable = ours.execute("SELECT 1").fetchone() == (1,)
    bench.report.note(f"memory: training beyond {LIMIT} ends with {state} (53200 is right), "
                      f"the session is {'usable' if usable else 'NOT usable'}")
