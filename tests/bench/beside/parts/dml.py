"""UPDATE, DELETE and MERGE of 1 % of lineitem's rows, scattered and in one file, beside deltalake on a copy of the files."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow
from deltalake import DeltaTable

from .. import duck, tpch
from ..bench import Bench
from ..cenote import Server, table_folder
from ..turns import Side

# At scale 1: eight files or so, so that "in one file" means something.
FILE_BYTES = 32 << 20
KEYS = "t.l_orderkey = s.l_orderkey AND t.l_linenumber = s.l_linenumber"


@dataclass(frozen=True)
class Share:
    """One hundredth of the orders, the nth of hundred: scattered over all files, or side by side."""

    name: str
    condition: Callable[[int], str]


def run(bench: Bench) -> None:
    """Measures the three statements on both shares, then compares the tables."""
    data = tpch.generate(bench.cache, bench.scale)
    folder = bench.folder("dml")
    highest = int(6_000_000 * bench.scale)
    shares = [
        Share("scattered", lambda n: f"l_orderkey % 100 = {n}"),
        Share("in one file", lambda n: f"l_orderkey BETWEEN {highest * n // 100 + 1} AND {highest * (n + 1) // 100}"),
    ]
    with Server(bench.binary, folder / "cenote") as server:
        connection = server.connect()
        for number, share in enumerate(shares):
            schema = f"dml{number}"
            connection.execute(f"CREATE SCHEMA {schema}")
            tpch.create(connection, schema, "lineitem", f"TBLPROPERTIES ('delta.targetFileSize' = '{int(FILE_BYTES * bench.scale)}')")
            connection.execute(f"COPY {schema}.lineitem FROM '{data / 'lineitem'}.parquet'")
            ours = table_folder(folder / "cenote", schema, "lineitem")
            theirs = _copy_without_fence(ours, folder / schema)
            files = len(list(ours.glob("*.parquet")))
            bench.report.note(f"dml: lineitem in {files} files")
            _statements(bench, connection, f"{schema}.lineitem", DeltaTable(str(theirs)), share)
            _same(bench, share, ours, theirs)


def _statements(bench: Bench, connection: psycopg.Connection[Any], table: str, peer: DeltaTable, share: Share) -> None:
    # Every run takes another hundredth, the same on both sides.
    hundredths = {"Cenote": iter(range(100)), "deltalake": iter(range(100))}
    source: dict[str, pyarrow.Table] = {}

    def part(side: str) -> str:
        return share.condition(next(hundredths[side]))

    def compare(name: str, ours: Callable[[], object], theirs: Callable[[], object], *prepare: Callable[[], object]) -> None:
        first, second = prepare or (None, None)
        bench.compare("dml", f"{name} of 1 %, {share.name}", Side("Cenote", ours, first), Side("deltalake", theirs, second),
                      ratio_goal=1.0)

    compare("UPDATE",
            lambda: connection.execute(f"UPDATE {table} SET l_quantity = l_quantity + 1, l_comment = 'changed' WHERE {part('Cenote')}"),
            lambda: peer.update({"l_quantity": "l_quantity + 1", "l_comment": "'changed'"}, predicate=part("deltalake")))
    compare("DELETE",
            lambda: connection.execute(f"DELETE FROM {table} WHERE {part('Cenote')}"),
            lambda: peer.delete(part("deltalake")))

    # MERGE: the rows of one hundredth, each tenth of them as a new line of its order.
    def rows(side: str) -> str:
        return ("SELECT l_orderkey, CASE WHEN l_partkey % 10 = 0 THEN l_linenumber + 10 ELSE l_linenumber END AS l_linenumber, "
                f"l_partkey, l_suppkey FROM {{}} WHERE {part(side)}")

    def our_source() -> None:
        connection.execute("DROP TABLE IF EXISTS merge_source")
        connection.execute("CREATE TABLE merge_source AS " + rows("Cenote").format(table))

    def their_source() -> None:
        engine = duck.connect()
        query = rows("deltalake").format(f"delta_scan('{peer.table_uri}')")
        source["rows"] = engine.execute(query).to_arrow_table()

    blank = {"l_quantity": "1", "l_extendedprice": "1", "l_discount": "0", "l_tax": "0", "l_returnflag": "'N'", "l_linestatus": "'O'",
             "l_shipdate": "DATE '1998-01-01'", "l_commitdate": "DATE '1998-01-01'", "l_receiptdate": "DATE '1998-01-01'",
             "l_shipinstruct": "'NONE'", "l_shipmode": "'AIR'", "l_comment": "'merged'"}
    taken = {name: f"s.{name}" for name in ("l_orderkey", "l_partkey", "l_suppkey", "l_linenumber")}
    new = taken | blank

    def merge() -> None:
        connection.execute(
            f"MERGE INTO {table} AS t USING merge_source AS s ON {KEYS} "
            "WHEN MATCHED THEN UPDATE SET l_partkey = s.l_partkey + 1, l_comment = 'merged' "
            f"WHEN NOT MATCHED THEN INSERT ({', '.join(new)}) VALUES ({', '.join(new.values())})")

    def their_merge() -> None:
        merger = peer.merge(source["rows"], KEYS, source_alias="s", target_alias="t")
        merger = merger.when_matched_update({"l_partkey": "s.l_partkey + 1", "l_comment": "'merged'"})
        merger.when_not_matched_insert(new).execute()

    compare("MERGE", merge, their_merge, our_source, their_source)


def _copy_without_fence(table: Path, copy: Path) -> Path:
    """A copy of a Delta table that others may write: the writer feature that keeps them out is taken away."""
    shutil.copytree(table, copy)
    for entry in (copy / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        for action in actions:
            if "protocol" in action:
                action["protocol"]["writerFeatures"].remove("cenote.coordinated")
        entry.write_text("".join(json.dumps(action) + "\n" for action in actions))
    return copy


def _same(bench: Bench, share: Share, ours: Path, theirs: Path) -> None:
    connection = duck.connect(bench.work)
    scans = f"SELECT * FROM delta_scan('{ours}')", f"SELECT * FROM delta_scan('{theirs}')"
    counts = [connection.execute(f"SELECT count(*) FROM ({a} EXCEPT ALL {b})").fetchone() for a, b in (scans, scans[::-1])]
    [(rows,)] = connection.execute(f"SELECT count(*) FROM ({scans[0]})").fetchall()
    said = "equal row by row" if counts == [(0,), (0,)] else f"DIFFERENT: rows only here {counts[0]}, only there {counts[1]}"
    bench.report.note(f"dml, {share.name}: the {rows:,} rows after all statements are {said}")
