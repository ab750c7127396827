"""TPC-H: loading beside DuckDB writing Parquet, then the 22 queries beside DuckDB on the same Delta tables."""

import math
import shutil

from .. import duck, tpch
from ..answers import difference
from ..bench import Bench
from ..cenote import Server, table_folder
from ..report import Figure
from ..turns import Side, in_turn


def run(bench: Bench) -> None:
    """Measures the load, then the queries."""
    _load(bench)
    _queries(bench)


def _load(bench: Bench) -> None:
    data = tpch.generate(bench.cache, bench.scale)
    folder = bench.folder("load")
    with Server(bench.binary, folder / "cenote") as server:
        ours = server.connect()
        theirs = duck.connect(folder)
        schemas = iter(f"load{n}" for n in range(1000))

        def write() -> None:
            for table in tpch.TABLES:
                theirs.execute(f"COPY (FROM read_parquet('{data / table}.parquet')) TO '{folder / table}.parquet' "
                               "(FORMAT parquet, COMPRESSION snappy)")

        bench.compare("tpch", "load by COPY from Parquet", Side("Cenote", lambda: tpch.load(ours, next(schemas), data)),
                      Side("DuckDB, Parquet to snappy Parquet", write), rounds=min(bench.rounds, 3))
    shutil.rmtree(folder)


def _queries(bench: Bench) -> None:
    warehouse = tpch.warehouse(bench)
    queries = tpch.queries()
    figures, wrong = [], []
    with Server(bench.binary, warehouse) as server:
        ours = server.connect()
        ours.execute("SET search_path = tpch")
        theirs = duck.connect(bench.work)
        for table in tpch.TABLES:
            duck.attach(theirs, table, table_folder(warehouse, "tpch", table))
        for number, query in queries.items():
            turns = in_turn([Side("Cenote", lambda: ours.execute(query).fetchall()),
                             Side("DuckDB", lambda: theirs.execute(query).fetchall())], bench.rounds)
            figures.append(Figure("tpch", f"query {number}", turns.seconds["Cenote"], "DuckDB + delta", turns.seconds["DuckDB"]))
            bench.report.add(figures[-1])
            if different := difference(turns.answers["Cenote"], turns.answers["DuckDB"]):
                wrong.append(number)
                bench.report.note(f"query {number} is answered otherwise: {different}")
    bench.report.note(f"{len(queries) - len(wrong)} of {len(queries)} answers equal DuckDB's, wrong: {wrong}")
    by_round = list(zip(*(figure.ratios for figure in figures)))
    means = [math.exp(sum(map(math.log, ratios)) / len(ratios)) for ratios in by_round]
    total = [sum(seconds) for seconds in zip(*(f.ours for f in figures))]
    their_total = [sum(seconds) for seconds in zip(*(f.theirs for f in figures))]
    bench.report.add(Figure("tpch", "22 queries, sum", total, "DuckDB + delta", their_total))
    bench.report.add(Figure("tpch", "22 queries, geometric mean of ratios", means, "DuckDB + delta", [1.0] * len(means),
                            unit="", ratio_goal=1.3))
