"""One table in three engines: in Cenote, in DuckDB, and as a Delta table that delta-rs itself changes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from .compare import Mismatch, Tally, same_stored
from .server import Row, rows_on_disk, table_path
from .values import Column, real_positions, to_delta, to_duckdb

# What a statement may be refused with; any other code is a fault of the engine.
REFUSALS = {"21000", "22001", "22003", "22012", "23502", "23514"}

# The same in DuckDB; the last one follows on another in a transaction.
DUCKDB_REFUSALS = (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.ConstraintException,
                   duckdb.TransactionException)


def new_duckdb() -> duckdb.DuckDBPyConnection:
    """DuckDB with PostgreSQL's meaning of division, order of NULLs and time zone.

    Filters stay above the scans: version 1.5.5 loses rows without a d by `d < 1 OR d IS DISTINCT FROM 2` in a scan.
    """
    duck = duckdb.connect()
    duck.execute("SET disabled_optimizers = 'filter_pushdown'")
    for setting in ["integer_division = true", "default_null_order = 'postgres'", "TimeZone = 'UTC'",
                    "order_by_non_integer_literal = true", "threads = 1"]:
        duck.execute(f"SET {setting}")
    return duck


class DeltaCopy:
    """The table as delta-rs keeps it."""

    def __init__(self, path: Path, columns: list[Column]) -> None:
        self.path, self.names = str(path), [column.name for column in columns]
        self.schema = pa.schema([pa.field(c.name, c.kind.arrow) for c in columns])
        write_deltalake(self.path, self.schema.empty_table())

    def table(self) -> DeltaTable:
        """The table at its newest version."""
        return DeltaTable(self.path)

    def arrow(self, rows: list[Row]) -> pa.Table:
        """Rows as the table's columns."""
        columns = list(zip(*rows)) if rows else [()] * len(self.names)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self.schema)]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def write(self, rows: list[Row], mode: str) -> None:
        """`append`, or `overwrite` with what another engine has."""
        write_deltalake(self.path, self.arrow(rows), mode=mode)

    def rows(self) -> list[Row]:
        """All rows."""
        return rows_on_disk(self.path, self.names)


@dataclass
class Statement:
    """A statement, and how delta-rs does the same."""

    sql: str
    # Only if it is more than another dialect of `sql`.
    duckdb: str | None = None
    # Rows that the change in delta-rs needs, read from DuckDB before the statement.
    reads: str | None = None
    on_delta: Callable[[DeltaCopy, list[Row]], Any] | None = None
    # Why delta-rs is given the rows instead of doing the same.
    why_not_delta: str | None = None
    # Several source rows may stand for one row of the target; then Cenote may refuse with 21000.
    may_match_twice: bool = False


class Copies:
    """The three, kept in step."""

    def __init__(self, ours: psycopg.Connection[Row], duck: duckdb.DuckDBPyConnection, warehouse: Path, folder: Path,
                 name: str, columns: list[Column], rng: random.Random, tally: Tally) -> None:
        self.ours, self.duck, self.warehouse, self.rng, self.tally = ours, duck, warehouse, rng, tally
        self.name, self.columns, self.reals = name, columns, real_positions(columns)
        self.delta = DeltaCopy(folder / name, columns)
        self.pending: list[tuple[Statement, list[Row]]] = []
        self.in_transaction = False

    def begin(self) -> None:
        """Opens a transaction; delta-rs, which has none, follows at its end."""
        self.ours.execute("BEGIN")
        self.duck.execute("BEGIN")
        self.in_transaction = True

    def end(self, commit: bool) -> None:
        """Ends it."""
        for engine in (self.ours, self.duck):
            engine.execute("COMMIT" if commit else "ROLLBACK")
        self.in_transaction = False
        if not commit:
            self.pending.clear()
        self.follow()
        self.compare("COMMIT" if commit else "ROLLBACK")

    def run(self, statement: Statement) -> bool:
        """Runs it everywhere and compares. False: refused by all, and a transaction is over with it."""
        duck_sql = to_duckdb(statement.duckdb or statement.sql)
        rows = self.read(statement.reads)
        refusal, count = self.run_ours(statement.sql)
        if refusal == "21000" and statement.may_match_twice:
            return self.refused("several source rows for one row")
        try:
            found = self.duck.execute(duck_sql).fetchone()
        except DUCKDB_REFUSALS as error:
            if refusal is None:
                raise Mismatch(f"only DuckDB refuses: {error}") from error
            return self.refused("a value or constraint")
        if refusal is not None:
            raise Mismatch(f"only Cenote refuses: {refusal}")
        if found is not None and (count,) != found:
            raise Mismatch(f"Cenote changed {count} rows, DuckDB {found[0]}")
        self.tally.compared["row counts with DuckDB"] += 1
        self.pending.append((statement, rows))
        if not self.in_transaction:
            self.follow()
        self.compare(statement.sql)
        return True

    def read(self, query: str | None) -> list[Row]:
        """The rows that delta-rs needs; none if a value is refused, for then the statement will be too."""
        try:
            return self.duck.execute(to_duckdb(query)).fetchall() if query else []
        except DUCKDB_REFUSALS:
            return []

    def run_ours(self, sql: str) -> tuple[str | None, int]:
        """The code of a refusal, or how many rows were changed."""
        try:
            return None, self.ours.execute(sql.encode()).rowcount
        except psycopg.Error as error:
            if error.sqlstate not in REFUSALS:
                raise Mismatch(f"Cenote answers {error.sqlstate} {error}") from error
            return error.sqlstate, 0

    def refused(self, why: str) -> bool:
        """Nothing may have changed."""
        self.tally.compared[f"statements refused: {why}"] += 1
        if self.in_transaction:
            self.end(commit=False)
        else:
            self.compare("the refusal")
        return False

    def follow(self) -> None:
        """delta-rs does what the others have done."""
        for statement, rows in self.pending:
            if statement.why_not_delta or statement.on_delta is None:
                self.catch_up(statement.why_not_delta or "delta-rs has no such statement")
                break
            try:
                statement.on_delta(self.delta, rows)
            except Exception as error:  # delta-rs's errors have no common class
                reason = next((why for words, why in DELTA_LIMITS.items() if words in str(error)), None)
                if reason is None:
                    raise Mismatch(f"only delta-rs refuses: {error}") from error
                self.catch_up(reason)
                break
            self.tally.compared["statements with delta-rs's own operations"] += 1
        self.pending.clear()

    def catch_up(self, why: str) -> None:
        """Where delta-rs cannot follow, it is given DuckDB's rows."""
        self.tally.left_out[why] += 1
        self.delta.write(self.duck_rows(), "overwrite")

    def duck_rows(self) -> list[Row]:
        """All rows in DuckDB."""
        return self.duck.execute(f"SELECT * FROM {self.name}").fetchall()

    def duckdb_value(self, query: str) -> Any:
        """The one value of a query in DuckDB."""
        row = self.duck.execute(to_duckdb(query)).fetchone()
        return row and row[0]

    def compare(self, after: str) -> None:
        """The rows of all of them, and now and then ours as others read them from disk."""
        want = self.duck_rows()
        with self.ours.cursor(binary=self.rng.random() < 0.5) as cursor:
            got = cursor.execute(f"SELECT * FROM {self.name}".encode()).fetchall()
        same_stored("Cenote beside DuckDB", got, want, self.reals)
        self.tally.compared["tables with DuckDB"] += 1
        if self.in_transaction:
            return
        same_stored("delta-rs beside DuckDB", self.delta.rows(), want, self.reals)
        self.tally.compared["tables with delta-rs"] += 1
        if self.rng.random() < 0.3:
            self.compare_disk(want)

    def compare_disk(self, want: list[Row]) -> None:
        """Our table, read by deltalake."""
        found = rows_on_disk(table_path(self.warehouse, self.name), [c.name for c in self.columns])
        same_stored("our table, read by deltalake", found, want, self.reals)
        self.tally.compared["tables read from disk by deltalake"] += 1


# Parts of delta-rs's messages, and what it cannot do.
DELTA_LIMITS = {
    "to Timestamp(ns): converted value exceeds": "delta-rs compares dates with timestamps in nanoseconds",
    "Unable to convert expression to string": "delta-rs cannot write the expression into its history",
    "Invalid comparison operation": "delta-rs compares statistics only with the column's own type",
    "Can't cast value": "delta-rs compares statistics only with the column's own type",
    "values had multiple data types": "delta-rs does not plan the expression",
    "type_coercion": "delta-rs does not plan the expression",
    "not possible to merge arrays of different data types": "delta-rs does not plan the expression",
}


def delta_update(set_clause: dict[str, str], where: str | None) -> Callable[[DeltaCopy, list[Row]], Any]:
    """UPDATE by delta-rs."""
    updates = {name: to_delta(expression) for name, expression in set_clause.items()}
    return lambda delta, rows: delta.table().update(updates=updates, predicate=where and to_delta(where))


def delta_delete(where: str | None) -> Callable[[DeltaCopy, list[Row]], Any]:
    """DELETE by delta-rs."""
    return lambda delta, rows: delta.table().delete(where and to_delta(where))


def delta_append(delta: DeltaCopy, rows: list[Row]) -> None:
    """INSERT by delta-rs."""
    delta.write(rows, "append")
