"""Random SELECTs over tame tables: each answer equals DuckDB's."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from .command import play_rounds
from .compare import Mismatch, Tally, same_answer
from .copies import new_duckdb
from .expressions import FAMILY_KIND, Expressions
from .faults import is_open
from .server import Row, Server
from .values import KINDS, Column, Values, columns_of, literal, random_name, to_duckdb

QUERIES_A_ROUND = 25
FAMILIES = ["boolean", "integer", "float", "numeric", "text", "date", "timestamp", "timestamptz", "bytea"]
COMPARED_IN_ORDER = "ordered SELECTs with DuckDB"


@dataclass(frozen=True)
class Query:
    """A query, the families of its columns, and whether its rows have one possible order."""

    sql: str
    families: list[str]
    is_ordered: bool = False


@dataclass(frozen=True)
class Source:
    """What stands in FROM, its columns, and those that together name a row."""

    sql: str
    columns: list[Column]
    keys: list[str]


class Queries:
    """Random queries over some tables of known columns."""

    def __init__(self, rng: random.Random, values: Values, tables: dict[str, list[Column]]) -> None:
        self.rng, self.values, self.tables = rng, values, tables

    def next(self) -> Query:
        """A query of any shape."""
        make = self.rng.choices([self.plain, self.grouped, self.windowed, self.combined, self.filtered_by_subquery,
                                 self.over_derived, self.grand_total], [4, 5, 4, 3, 4, 3, 2])[0]
        return make()

    def expressions(self, columns: list[Column]) -> Expressions:
        """Expressions over these columns."""
        return Expressions(self.values, columns)

    def table(self, alias: str) -> Source:
        """One table."""
        name = self.rng.choice(list(self.tables))
        return Source(f"{name} AS {alias}", [c.of(alias) for c in self.tables[name]], [f"{alias}.{self.tables[name][0].name}"])

    def source(self) -> Source:
        """A table, or a join of two or three."""
        whole = self.table("x")
        for alias in ["y", "z"][:self.rng.choice([0, 0, 1, 1, 2])]:
            other = self.table(alias)
            kind = self.rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN"])
            family = self.rng.choice(["integer", "integer", "text", "date", "numeric"])
            left = self.expressions(whole.columns).of(family, 0)
            right = self.rng.choice([c for c in other.columns if c.kind.family == family]).name
            if not any(c.name in left for c in whole.columns):
                left, right = f"{whole.keys[0]}", f"{other.keys[0]}"
            condition = f"{left} = {right}"
            # A full join needs an equality; more than that makes some engines refuse it.
            if kind != "FULL JOIN" and self.rng.random() < 0.4:
                condition += f" AND {self.expressions(whole.columns + other.columns).predicate(1)}"
            whole = Source(f"{whole.sql} {kind} {other.sql} ON {condition}", whole.columns + other.columns,
                           whole.keys + other.keys)
        return whole

    def projection(self, scope: Expressions, families: list[str], depth: int = 2) -> list[str]:
        """One expression for each family."""
        return [self.sortable(scope.of(family, depth), family) for family in families]

    def sortable(self, expression: str, family: str) -> str:
        """Where zeros of different signs sort apart, they are made one."""
        return f"({expression} + 0)" if family == "float" and is_open("zeros in windows") else expression

    def where(self, scope: Expressions) -> str:
        """A filter, or none."""
        return f" WHERE {scope.predicate()}" if self.rng.random() < 0.7 else ""

    def some_families(self) -> list[str]:
        """Families of the result's columns."""
        return self.rng.choices(FAMILIES, k=self.rng.randint(1, 4))

    def order(self, n: int) -> str:
        """ORDER BY all columns by position, so that rows that tie are equal."""
        places = self.rng.sample(range(1, n + 1), n)
        return " ORDER BY " + ", ".join(
            f"{place}{self.rng.choice(['', ' ASC', ' DESC'])}{self.rng.choice(['', ' NULLS FIRST', ' NULLS LAST'])}"
            for place in places)

    def plain(self, families: list[str] | None = None) -> Query:
        """SELECT [DISTINCT] … FROM … WHERE … [ORDER BY … [LIMIT … OFFSET …]]."""
        source, nested = self.source(), families is not None
        families = families or self.some_families()
        scope = self.expressions(source.columns)
        distinct = self.rng.choice(["", "", "DISTINCT "])
        sql = f"SELECT {distinct}{', '.join(self.projection(scope, families, 2))} FROM {source.sql}{self.where(scope)}"
        if nested or self.rng.random() < 0.4:
            return Query(sql, families)
        sql += self.order(len(families))
        if self.rng.random() < 0.5:
            sql += f" LIMIT {self.rng.randint(1, 20)}" + (f" OFFSET {self.rng.randint(0, 10)}" if self.rng.random() < 0.5 else "")
        return Query(sql, families, is_ordered=True)

    def aggregate(self, scope: Expressions) -> tuple[str, str]:
        """An aggregate and the family of its result."""
        family = self.rng.choice(["boolean", "integer", "integer", "float", "numeric", "text", "date", "timestamp", "timestamptz"])
        a = scope.of(family, 1)
        forms = [(f"count({a})", "integer"), ("count(*)", "integer"), (f"count(DISTINCT {self.sortable(a, family)})", "integer")]
        if family == "boolean":
            forms = [(f"bool_and({a})", family), (f"bool_or({a})", family)]
        else:
            forms += [(f"min({a})", family), (f"max({a})", family)]
        if family in ("integer", "numeric", "float"):
            result = "numeric" if family == "integer" else family
            forms += [(f"sum({a})", result), (f"CAST(avg({a}) AS double precision)", "float"), (f"sum(DISTINCT {a})", result),
                      (f"stddev_samp({a})", "float"), (f"var_pop({a})", "float")]
        if family == "text":
            forms += [(f"string_agg({a}, '|' ORDER BY {a})", family)]
        sql, result = self.rng.choice(forms)
        if self.rng.random() < 0.2 and not sql.startswith("CAST"):
            sql += f" FILTER (WHERE {scope.predicate(1)})"
        return sql, result

    def grouped(self) -> Query:
        """GROUP BY with aggregates, HAVING, ROLLUP."""
        source = self.source()
        scope = self.expressions(source.columns)
        families = self.rng.choices(["integer", "text", "date", "numeric", "float"], k=self.rng.randint(1, 2))
        families.append("boolean")
        keys = [self.sortable(scope.of(family, 1), family) for family in families]
        # A key without a column would be a constant or a position.
        keys = [key if any(c.name in key for c in source.columns) else source.keys[0] for key in keys]
        families = ["integer" if key == source.keys[0] else family for key, family in zip(keys, families)]
        aggregates = [self.aggregate(scope) for _ in range(self.rng.randint(1, 3))]
        grouping = ", ".join(keys)
        is_plain = all(key in [c.name for c in source.columns] for key in keys) and len(set(keys)) == len(keys)
        if self.rng.random() < 0.15 and (is_plain or not is_open("grouping sets of expressions")):
            grouping = f"{self.rng.choice(['ROLLUP', 'CUBE'])} ({grouping})"
        sql = f"SELECT {', '.join([*keys, *(a for a, _ in aggregates)])} FROM {source.sql}{self.where(scope)} GROUP BY {grouping}"
        if self.rng.random() < 0.3:
            sql += self.rng.choice([" HAVING count(*) > 1", f" HAVING {self.aggregate(scope)[0]} IS NOT NULL"])
        return Query(sql, families + [family for _, family in aggregates])

    def grand_total(self) -> Query:
        """Aggregates over everything, which statistics might answer."""
        source = self.source()
        scope = self.expressions(source.columns)
        aggregates = [self.aggregate(scope) for _ in range(self.rng.randint(1, 4))]
        if self.rng.random() < 0.5:
            column = self.rng.choice([c for c in source.columns if c.kind.family not in ("boolean", "bytea")])
            aggregates = [(f"{f}({column.name})", column.kind.family) for f in ("min", "max", "count")]
        where = self.where(scope) if self.rng.random() < 0.5 else ""
        return Query(f"SELECT {', '.join(a for a, _ in aggregates)} FROM {source.sql}{where}", [f for _, f in aggregates])

    def windowed(self) -> Query:
        """Window functions, with an order that is total where they depend on it."""
        source = self.source()
        scope = self.expressions(source.columns)
        family = self.rng.choice(["integer", "numeric", "text", "date", "float"])
        order_by = self.sortable(scope.of(family, 1), family)
        partition = f"PARTITION BY {scope.of(self.rng.choice(['boolean', 'integer', 'text']), 1)} " if self.rng.random() < 0.6 else ""
        direction = self.rng.choice(["", " DESC", " NULLS FIRST"])
        total = f"{partition}ORDER BY {order_by}{direction}, {', '.join(source.keys)}"
        peers = f"{partition}ORDER BY {order_by}{direction}"
        families = self.rng.choices(["integer", "text", "date", "numeric"], k=1)
        a = scope.of(families[0], 1)
        number = scope.of("integer", 1)
        frame = self.rng.choice(["", " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", " ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING",
                                 " ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
                                 " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"])
        forms = [f"row_number() OVER ({total})", f"rank() OVER ({peers})", f"dense_rank() OVER ({peers})",
                 f"percent_rank() OVER ({peers})", f"cume_dist() OVER ({peers})", f"ntile(3) OVER ({total})",
                 f"lag({a}) OVER ({total})", f"lead({a}, 2) OVER ({total})", f"first_value({a}) OVER ({total}{frame})",
                 f"last_value({a}) OVER ({total}{frame})", f"nth_value({a}, 2) OVER ({total}{frame})",
                 f"sum({number}) OVER ({total}{frame})", f"avg({number}) OVER ({total}{frame})",
                 f"count({a}) OVER ({peers})", f"sum({number}) OVER ({peers})", f"min({a}) OVER ({total}{frame})",
                 f"max({a}) OVER ({total}{frame})", f"count(*) OVER ({partition})", f"sum({number}) OVER ({partition})"]
        chosen = self.rng.sample(forms, 1 if is_open("windows with a sort key in common") else self.rng.randint(1, 3))
        return Query(f"SELECT {', '.join([*source.keys, *chosen])} FROM {source.sql}{self.where(scope)}", [])

    def combined(self) -> Query:
        """UNION, INTERSECT, EXCEPT, with and without ALL."""
        families = self.rng.choices(["integer", "text", "date"], k=self.rng.randint(1, 2))
        families.append("boolean")
        operators = ["INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]
        if not is_open("UNION with an empty side"):
            operators += ["UNION", "UNION ALL"]
        sql = f"({self.plain(families).sql}) {self.rng.choice(operators)} ({self.plain(families).sql})"
        if self.rng.random() < 0.5:
            return Query(sql, families)
        return Query(sql + self.order(len(families)), families, is_ordered=True)

    def filtered_by_subquery(self) -> Query:
        """[NOT] IN, [NOT] EXISTS and scalar subqueries, correlated and not."""
        source, inner = self.source(), self.table("w")
        outer_scope, inner_scope = self.expressions(source.columns), self.expressions(inner.columns)
        family = self.rng.choice(["integer", "text", "date"])
        left, right = outer_scope.of(family, 1), inner_scope.of(family, 1)
        a = self.rng.choice([c.name for c in source.columns if c.kind.family == "integer"])
        b = self.rng.choice([c.name for c in inner.columns if c.kind.family == "integer"])
        no = self.rng.choice(["", "NOT "])
        condition = self.rng.choice([
            f"{left} {no}IN (SELECT {right} FROM {inner.sql} WHERE {inner_scope.predicate(1)})",
            f"{no}EXISTS (SELECT 1 FROM {inner.sql} WHERE {b} = {a} AND {inner_scope.predicate(1)})",
            f"{a} > (SELECT avg({b}) FROM {inner.sql} WHERE {inner_scope.predicate(1)})",
            f"{left} = (SELECT max({right}) FROM {inner.sql} WHERE {b} = {a})",
            f"(SELECT count(*) FROM {inner.sql} WHERE {b} < {a}) > 3"])
        columns = [*source.keys, f"(SELECT count(*) FROM {inner.sql} WHERE {b} = {a})"] if self.rng.random() < 0.4 else source.keys
        if self.rng.random() < 0.3:
            columns = [*columns, f"EXISTS (SELECT 1 FROM {inner.sql} WHERE {b} = {a})"]
        glue = self.rng.choice(["AND", "AND", "OR"])
        return Query(f"SELECT {', '.join(columns)} FROM {source.sql} WHERE {condition} {glue} {outer_scope.predicate(1)}", [])

    def over_derived(self) -> Query:
        """A query over a query: in FROM, or in WITH."""
        inner = self.plain(self.rng.choices(FAMILIES, k=3)) if self.rng.random() < 0.5 else self.grouped()
        names = [f"q{n}" for n in range(len(inner.families))]
        columns = [Column(f"d.{name}", FAMILY_KIND[family]) for name, family in zip(names, inner.families)]
        scope, families = self.expressions(columns), self.rng.choices(inner.families, k=2)
        body = f"SELECT {', '.join(self.projection(scope, families))} FROM "
        if self.rng.random() < 0.5:
            return Query(f"{body}({inner.sql}) AS d({', '.join(names)}){self.where(scope)}", families)
        return Query(f"WITH d({', '.join(names)}) AS ({inner.sql}) {body}d{self.where(scope)}", families)


def make_tables(ours: Any, duck: Any, rng: random.Random, values: Values, history: list[str]) -> dict[str, list[Column]]:
    """Three tables of every type, in several files, some of them rewritten."""
    tables = {}
    for letter in "abc":
        name = random_name(rng)
        columns = [Column(f"{c.name}{letter}", c.kind) for c in columns_of(list(KINDS.values()))]
        definitions = ", ".join(f"{c.name} {c.kind.sql}" for c in columns)
        statements = [f"CREATE TABLE {name} ({definitions})"]
        ids = rng.sample(range(80), rng.randint(0, 60))
        while ids:
            batch, ids = ids[:25], ids[25:]
            lists = [", ".join([str(n), *(literal(c.kind, values.value(c.kind)) for c in columns[1:])]) for n in batch]
            statements.append(f"INSERT INTO {name} VALUES ({'), ('.join(lists)})")
        statements.append(f"DELETE FROM {name} WHERE id{letter} % 11 = 3")
        for statement in statements:
            history.append(statement)
            ours.execute(statement.encode())
            duck.execute(to_duckdb(statement))
        tables[name] = columns
    return tables


def compare(ours: psycopg.Connection[Row], duck: duckdb.DuckDBPyConnection, query: Query, is_binary: bool, tally: Tally) -> None:
    """Runs the query in both; a refusal of values by both is an answer too."""
    try:
        want, refused = duck.execute(to_duckdb(query.sql)).fetchall(), None
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        want, refused = [], error
    try:
        with ours.cursor(binary=is_binary) as cursor:
            got = cursor.execute(query.sql.encode()).fetchall()
    except psycopg.Error as error:
        if refused and error.sqlstate in ("22003", "22008"):
            tally.compared["SELECTs refused by both for a value"] += 1
            return
        raise Mismatch(f"Cenote answers {error.sqlstate} {error}; DuckDB {refused or want[:3]}") from error
    if refused:
        raise Mismatch(f"only DuckDB refuses: {refused}")
    same_answer("Cenote beside DuckDB", got, want, query.is_ordered)
    tally.compared[COMPARED_IN_ORDER if query.is_ordered else "SELECTs with DuckDB"] += 1
    tally.compared["rows of SELECTs"] += len(want)


def play_round(server: Server, folder: Path, rng: random.Random, tally: Tally, history: list[str]) -> None:
    """New tables, and queries over them."""
    values = Values(rng, is_wild=False)
    with server.connect() as ours, new_duckdb() as duck:
        queries = Queries(rng, values, make_tables(ours, duck, rng, values, history))
        setup = len(history)
        for _ in range(QUERIES_A_ROUND):
            query = queries.next()
            history[setup:] = [query.sql]
            compare(ours, duck, query, rng.random() < 0.5, tally)


if __name__ == "__main__":
    play_rounds("selects", __doc__, 15, play_round)
