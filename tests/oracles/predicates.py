"""Conditions against themselves, over files whose statistics let a scan skip them.

Each row is in exactly one of p, NOT p and p IS NULL; a filter, which may skip files, finds the rows for which the same
condition as a column, which may not, is true; DELETE and UPDATE with it change so many; DuckDB agrees on its copy, and
so does DuckDB's delta extension, which skips files by the statistics that we wrote.
"""

from __future__ import annotations

import glob
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_delta
import psycopg

from .command import play_rounds
from .compare import Mismatch, Tally, same_answer
from .copies import new_duckdb
from .expressions import Expressions
from .server import Row, Server, table_path
from .values import KINDS, Values, columns_of, literal, random_name, to_duckdb

CONDITIONS_A_ROUND = 14
FILE = re.compile(r"part-[^/\]]*\.parquet")


class Table:
    """A table of many files, in Cenote and in DuckDB."""

    def __init__(self, ours: psycopg.Connection[Row], duck: duckdb.DuckDBPyConnection, rng: random.Random,
                 history: list[str]) -> None:
        self.ours, self.duck, self.rng, self.history = ours, duck, rng, history
        self.name, self.columns = random_name(rng), columns_of(rng.choices(list(KINDS.values()), k=rng.randint(4, 8)))
        self.values = Values(rng, is_wild=True, null_share=0.1)
        self.both(f"CREATE TABLE {self.name} (" + ", ".join(f"{c.name} {c.kind.sql}" for c in self.columns) + ")")
        self.count = 0
        for _ in range(rng.randint(3, 8)):
            self.add_file()
        for statement in rng.sample([f"DELETE FROM {self.name} WHERE id % 7 = 2",
                                     f"UPDATE {self.name} SET {self.columns[1].name} = NULL WHERE id % 5 = 1"], 1):
            self.both(statement)

    def both(self, sql: str) -> None:
        """Runs a statement in both."""
        self.history.append(sql)
        self.ours.execute(sql.encode())
        self.duck.execute(to_duckdb(sql))

    def add_file(self) -> None:
        """An INSERT, which makes a file: each of its columns holds NULLs only, one value, a few, or anything."""
        pools: list[list[Any]] = []
        for column in self.columns[1:]:
            size = self.rng.choice([0, 1, 2, 3, 20])
            pools.append([self.values.known(column.kind) for _ in range(size)])
            if size and self.rng.random() < 0.3:
                pools[-1].append(None)
        rows = []
        for _ in range(self.rng.randint(1, 12)):
            self.count += 1
            row = [str(self.count)] + [literal(c.kind, self.rng.choice(pool) if pool else None)
                                       for c, pool in zip(self.columns[1:], pools)]
            rows.append(", ".join(row))
        self.both(f"INSERT INTO {self.name} VALUES ({'), ('.join(rows)})")

    def ids(self, condition: str) -> set[int]:
        """The rows for which a condition is true."""
        rows = self.ours.execute(f"SELECT id FROM {self.name} WHERE {condition}".encode()).fetchall()
        found = {row[0] for row in rows}
        if len(found) != len(rows):
            raise Mismatch(f"a row was found twice by {condition}")
        return found

    def files(self, condition: str) -> int:
        """How many files a filter reads, as EXPLAIN says."""
        rows = self.ours.execute(f"EXPLAIN SELECT * FROM {self.name} WHERE {condition}".encode()).fetchall()
        return len(set(FILE.findall("\n".join(row[0] for row in rows))))


def equal(what: str, got: object, want: object) -> None:
    """Fails with both sides."""
    if got != want:
        raise Mismatch(f"{what}: {got}, wanted {want}")


def check(table: Table, condition: str, tally: Tally) -> set[int]:
    """All that must hold of one condition inside of Cenote, and beside DuckDB."""
    # Without a file to skip: the condition is a column.
    truth = dict(table.ours.execute(f"SELECT id, {condition} FROM {table.name}".encode()).fetchall())
    wanted = {value: {n for n, found in truth.items() if found is value} for value in (True, False, None)}
    equal("WHERE p", table.ids(condition), wanted[True])
    equal("WHERE NOT p", table.ids(f"NOT ({condition})"), wanted[False])
    equal("WHERE p IS NULL", table.ids(f"({condition}) IS NULL"), wanted[None])
    counted = table.ours.execute(f"SELECT count(*), min(id), max(id) FROM {table.name} WHERE {condition}".encode()).fetchone()
    ids = wanted[True]
    equal("count, min, max", counted, (len(ids), min(ids, default=None), max(ids, default=None)))
    tally.compared["conditions: p, NOT p and p IS NULL part the rows"] += 1

    rows = table.duck.execute(to_duckdb(f"SELECT id, {condition} FROM {table.name}")).fetchall()
    equal("p in DuckDB", Counter(truth.items()), Counter(rows))
    tally.compared["conditions with DuckDB"] += 1
    tally.compared["files of these tables"] += table.files("true")
    tally.compared["files that a condition reads"] += table.files(condition)
    return ids


def check_changes(table: Table, condition: str, ids: set[int], tally: Tally) -> None:
    """DELETE and UPDATE with the condition change these rows; undone afterwards."""
    everything = table.ids("true")
    for change, count in [(f"UPDATE {table.name} SET id = id + 1000 WHERE {condition}", len(ids)),
                          (f"DELETE FROM {table.name} WHERE id > 1000", len(ids))]:
        if change.startswith("UPDATE"):
            table.ours.execute("BEGIN")
        equal(change, table.ours.execute(change.encode()).rowcount, count)
    equal("what UPDATE and DELETE leave", table.ids("true"), everything - ids)
    table.ours.execute("ROLLBACK")
    table.ours.execute("BEGIN")
    deletion = f"DELETE FROM {table.name} WHERE {condition}"
    equal(deletion, table.ours.execute(deletion.encode()).rowcount, len(ids))
    equal("what DELETE leaves", table.ids("true"), everything - ids)
    table.ours.execute("ROLLBACK")
    equal("what ROLLBACK leaves", table.ids("true"), everything)
    tally.compared["conditions in UPDATE and DELETE"] += 1


def check_extremes(table: Table, tally: Tally) -> None:
    """min, max and count of whole columns, which statistics may answer."""
    for column in table.columns:
        functions = ["count"] if column.kind.family in ("boolean", "bytea") else ["count", "min", "max"]
        query = f"SELECT {', '.join(f'{f}({column.name})' for f in functions)} FROM {table.name}"
        with table.ours.cursor(binary=True) as cursor:
            got = cursor.execute(query.encode()).fetchall()
        same_answer(query, got, table.duck.execute(query).fetchall(), ordered=True)
        tally.compared["columns' count, min and max with DuckDB"] += 1


def delta_extension(duck: duckdb.DuckDBPyConnection) -> None:
    """Loads DuckDB's reader of Delta tables."""
    [path] = glob.glob(f"{Path(duckdb_extension_delta.__file__).parent}/extensions/*/delta.duckdb_extension")
    duck.execute(f"LOAD '{path}'")


def check_outside(table: Table, path: str, condition: str, ids: set[int], tally: Tally) -> None:
    """DuckDB's delta extension finds the same rows, by our statistics."""
    rows = table.duck.execute(to_duckdb(f"SELECT id FROM delta_scan('{path}') WHERE {condition}")).fetchall()
    equal("p in delta_scan", {row[0] for row in rows}, ids)
    tally.compared["conditions with DuckDB's delta extension"] += 1


def play_round(server: Server, folder: Path, rng: random.Random, tally: Tally, history: list[str]) -> None:
    """A new table, and conditions over it."""
    with server.connect() as ours, new_duckdb() as duck:
        delta_extension(duck)
        table = Table(ours, duck, rng, history)
        setup, path = len(history), table_path(server.warehouse, table.name)
        history[setup:] = ["extremes"]
        check_extremes(table, tally)
        scope = Expressions(table.values, table.columns)
        for n in range(CONDITIONS_A_ROUND):
            condition = scope.predicate(n % 3)
            history[setup:] = [f"SELECT id FROM {table.name} WHERE {condition}"]
            ids = check(table, condition, tally)
            if n % 3 == 0:
                check_changes(table, condition, ids, tally)
            if n % 3 == 1:
                check_outside(table, path, condition, ids, tally)


if __name__ == "__main__":
    play_rounds("predicates", __doc__, 10, play_round)
