"""Random INSERT, UPDATE, DELETE and MERGE: after each the rows equal DuckDB's and those of delta-rs's own operations."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .command import play_rounds
from .compare import Tally
from .copies import Copies, DeltaCopy, Statement, delta_append, delta_delete, delta_update, new_duckdb
from .expressions import Expressions
from .server import Row, Server
from .values import KINDS, Column, Values, columns_of, literal, random_name, to_delta, to_duckdb

STATEMENTS_A_ROUND = 12
IDS = 60
NO_SUBQUERY = "delta-rs takes no subquery"
REPEATS = "delta-rs repeats or refuses a row that several source rows match"


class Script:
    """Random statements over a target and a source table of the same columns."""

    def __init__(self, rng: random.Random, copies: Copies, source: str, values: Values) -> None:
        self.rng, self.copies, self.source, self.values = rng, copies, source, values
        self.columns, self.target = copies.columns, copies.name
        self.plain = Expressions(values, self.columns, for_delta=True)
        self.both = Expressions(values, [c.of("t") for c in self.columns] + [c.of("s") for c in self.columns], for_delta=True)
        self.of_source = Expressions(values, [c.of("s") for c in self.columns], for_delta=True)
        self.of_target = Expressions(values, [c.of("t") for c in self.columns], for_delta=True)

    def next(self) -> Statement:
        """A statement of any kind."""
        make = self.rng.choices(
            [self.insert_values, self.insert_select, self.update, self.update_from, self.delete, self.delete_using,
             self.with_subquery, self.merge], [4, 2, 3, 2, 2, 1, 1, 5])[0]
        return make()

    def rows(self, n: int) -> list[Row]:
        """New rows; their ids may be there already."""
        return [(self.rng.randrange(IDS), *(self.values.value(c.kind) for c in self.columns[1:])) for _ in range(n)]

    def insert_values(self) -> Statement:
        """INSERT … VALUES, sometimes with a part of the columns."""
        chosen = self.columns
        if self.rng.random() < 0.3:
            chosen = self.columns[:1] + [c for c in self.columns[1:] if self.rng.random() < 0.6]
        rows = self.rows(self.rng.choice([1, 3, 20]))
        lists = [", ".join(literal(c.kind, value) for c, value in zip(self.columns, row) if c in chosen) for row in rows]
        names = ", ".join(c.name for c in chosen)
        kept = [tuple(value if c in chosen else None for c, value in zip(self.columns, row)) for row in rows]
        return Statement(f"INSERT INTO {self.target} ({names}) VALUES ({'), ('.join(lists)})",
                         on_delta=lambda delta, _: delta_append(delta, kept))

    def insert_select(self) -> Statement:
        """INSERT … SELECT with expressions, from the source or from the table itself."""
        origin = self.rng.choice([self.source, self.target])
        expressions = [self.assigned(self.plain, c) for c in self.columns]
        query = f"FROM {origin} WHERE {self.plain.predicate()} AND id < {self.rng.randrange(IDS)}"
        typed = ", ".join(f"CAST({e} AS {c.kind.sql})" for e, c in zip(expressions, self.columns))
        return Statement(f"INSERT INTO {self.target} SELECT {', '.join(expressions)} {query}",
                         reads=f"SELECT {typed} {query}", on_delta=delta_append)

    def assigned(self, scope: Expressions, column: Column, depth: int = 2, exact: bool = False) -> str:
        """An expression that the column can take; a text is cut to the length of varchar(n).

        `exact`: wild numbers are of the column's own type. For MERGE, where DuckDB also casts the values of rows that
        a condition excludes.
        """
        if exact and self.values.is_wild:
            scope = scope.with_columns([c for c in scope.columns if c.kind.family != column.kind.family or c.kind == column.kind])
        if self.rng.random() < 0.1:
            return f"CAST(NULL AS {column.kind.sql})"
        expression = scope.of(column.kind.family, depth)
        length = column.kind.sql.removeprefix("varchar(").removesuffix(")")
        return f"left({expression}, {length})" if length.isdigit() else expression

    def set_clause(self, scope: Expressions, exact: bool = False) -> dict[str, str]:
        """Some columns with their new values."""
        chosen = self.rng.sample(self.columns, self.rng.randint(1, min(3, len(self.columns))))
        return {c.name: self.assigned(scope, c, exact=exact) for c in chosen}

    def update(self) -> Statement:
        """UPDATE with or without WHERE."""
        where = self.plain.predicate() if self.rng.random() < 0.9 else None
        new = self.set_clause(self.plain)
        return Statement(f"UPDATE {self.target} SET {written(new)}" + (f" WHERE {where}" if where else ""),
                         on_delta=delta_update(new, where), why_not_delta=self.why_not_delta(where))

    def update_from(self) -> Statement:
        """UPDATE … FROM with one source row at most for a row of the target; delta-rs does it with MERGE."""
        join, new = self.join(), self.set_clause(self.both)
        if self.matches_twice(join):
            join = "t.id = s.id"
        return Statement(f"UPDATE {self.target} AS t SET {written(new)} FROM {self.source} AS s WHERE {join}",
                         reads=f"SELECT * FROM {self.source}",
                         on_delta=delta_merge(join, [("matched_update", None, new)]),
                         why_not_delta=self.why_not_delta(join))

    def delete(self) -> Statement:
        """DELETE; seldom of everything."""
        where = self.plain.predicate() if self.rng.random() < 0.95 else None
        return Statement(f"DELETE FROM {self.target}" + (f" WHERE {where}" if where else ""), on_delta=delta_delete(where),
                         why_not_delta=self.why_not_delta(where))

    def delete_using(self) -> Statement:
        """DELETE … USING; a row that matches twice is gone once. delta-rs does it with MERGE, where that is refused."""
        join = self.join()
        why = REPEATS if self.matches_twice(join) else self.why_not_delta(join)
        return Statement(f"DELETE FROM {self.target} AS t USING {self.source} AS s WHERE {join}",
                         reads=f"SELECT * FROM {self.source}",
                         on_delta=delta_merge(join, [("matched_delete", None, {})]), why_not_delta=why)

    def with_subquery(self) -> Statement:
        """Conditions and values by subqueries, which delta-rs does not take."""
        column = self.rng.choice(self.columns)
        condition = self.rng.choice([
            f"t.{column.name} IN (SELECT s.{column.name} FROM {self.source} AS s WHERE {self.of_source.predicate()})",
            f"EXISTS (SELECT 1 FROM {self.source} AS s WHERE s.id = t.id AND {self.of_source.predicate()})",
            f"NOT EXISTS (SELECT 1 FROM {self.source} AS s WHERE s.id = t.id AND {self.of_source.predicate(1)})"])
        if self.rng.random() < 0.4:
            return Statement(f"DELETE FROM {self.target} AS t WHERE {condition} AND {self.of_target.predicate()}",
                             why_not_delta=NO_SUBQUERY)
        value = f"(SELECT max(s.id) FROM {self.source} AS s WHERE {self.of_source.predicate()})"
        return Statement(f"UPDATE {self.target} AS t SET id = coalesce({value}, 7) WHERE {condition}",
                         why_not_delta=NO_SUBQUERY)

    def why_not_delta(self, condition: str | None) -> str | None:
        """Why delta-rs is not asked: what it is known to do wrong."""
        if condition is None:
            return None
        named = [c for c in self.columns if re.search(rf"\b{c.name}\b", condition)]
        if not named:
            return "delta-rs takes a condition without columns that is NULL for true"
        if self.values.is_wild and any(c.kind.family == "float" for c in named):
            return "delta-rs skips files whose NaN its statistics do not show"
        return None

    def join(self) -> str:
        """A condition over both tables."""
        column = self.rng.choice([self.columns[0], self.rng.choice(self.columns)])
        join = f"t.{column.name} = s.{column.name}"
        return join if self.rng.random() < 0.5 else f"{join} AND {self.both.predicate(1)}"

    def matches_twice(self, join: str, source: str | None = None) -> bool:
        """Whether a row of the target has several rows of the source, as DuckDB sees it."""
        query = (f"SELECT count(*) FROM (SELECT t.rowid FROM {self.target} AS t JOIN {source or self.source} AS s "
                 f"ON {join} GROUP BY t.rowid HAVING count(*) > 1)")
        return bool(self.copies.duckdb_value(query))

    def merge(self) -> Statement:
        """MERGE with any of its clauses, from the source table or a query over it."""
        source = self.source
        if self.rng.random() < 0.4:
            source = f"(SELECT * FROM {self.source} WHERE {self.plain.predicate()})"
        join = self.join() if self.rng.random() < 0.95 else "false"
        clauses = [self.clause() for _ in range(self.rng.randint(1, 4))]
        clauses = ordered(clauses)
        parts = [f"MERGE INTO {self.target} AS t USING {source} AS s ON {join}", *map(self.clause_text, clauses)]
        twice = self.matches_twice(join, source)
        conditions = " ".join([join, *(condition or "" for _, condition, _ in clauses)])
        return Statement(" ".join(parts), reads=f"SELECT * FROM {source}", may_match_twice=twice,
                         on_delta=delta_merge(join, clauses),
                         why_not_delta=REPEATS if twice else self.why_not_delta(conditions))

    def clause(self) -> Clause:
        """One WHEN."""
        kind = self.rng.choice(["matched_update", "matched_update", "matched_delete", "not_matched_insert",
                                "not_matched_insert", "by_source_update", "by_source_delete"])
        scope = {"matched": self.both, "not": self.of_source, "by": self.of_target}[kind.split("_")[0]]
        condition = scope.predicate(1) if self.rng.random() < 0.6 else None
        if kind.endswith("delete"):
            return kind, condition, {}
        if kind.endswith("update"):
            return kind, condition, self.set_clause(scope, exact=True)
        chosen = [c for c in self.columns[1:] if self.rng.random() < 0.8]
        return kind, condition, {"id": "s.id"} | {c.name: self.assigned(scope, c, depth=1, exact=True) for c in chosen}

    def clause_text(self, clause: Clause) -> str:
        """One WHEN in SQL."""
        kind, condition, new = clause
        head = {"matched": "MATCHED", "not": "NOT MATCHED", "by": "NOT MATCHED BY SOURCE"}[kind.split("_")[0]]
        action = {"delete": "DELETE", "update": f"UPDATE SET {written(new)}",
                  "insert": f"INSERT ({', '.join(new)}) VALUES ({', '.join(new.values())})"}[kind.split("_")[-1]]
        return f"WHEN {head}{f' AND {condition}' if condition else ''} THEN {action}"


# What a clause of MERGE is, its condition, and its new values.
Clause = tuple[str, str | None, dict[str, str]]


def ordered(clauses: list[Clause]) -> list[Clause]:
    """Conditional clauses before the unconditional one of their kind, and none after it, which could never be reached."""
    kept: list[Clause] = []
    for place in ("matched", "not", "by"):
        mine = [c for c in clauses if c[0].split("_")[0] == place]
        kept += [c for c in mine if c[1]] + [c for c in mine if not c[1]][:1]
    return kept


def written(new: dict[str, str]) -> str:
    """The right side of SET."""
    return ", ".join(f"{name} = {expression}" for name, expression in new.items())


def delta_merge(join: str, clauses: list[Clause]) -> Callable[[DeltaCopy, list[Row]], Any]:
    """MERGE by delta-rs."""
    def run(delta: DeltaCopy, rows: list[Row]) -> None:
        merger = delta.table().merge(delta.arrow(rows), to_delta(join), source_alias="s", target_alias="t")
        for kind, condition, new in clauses:
            where = condition and to_delta(condition)
            updates = {name: to_delta(expression) for name, expression in new.items()}
            match kind:
                case "matched_update":
                    merger = merger.when_matched_update(updates, where)
                case "matched_delete":
                    merger = merger.when_matched_delete(where)
                case "not_matched_insert":
                    merger = merger.when_not_matched_insert(updates, where)
                case "by_source_update":
                    merger = merger.when_not_matched_by_source_update(updates, where)
                case "by_source_delete":
                    merger = merger.when_not_matched_by_source_delete(where)
        merger.execute()
    return run


def play_round(server: Server, folder: Path, rng: random.Random, tally: Tally, history: list[str]) -> None:
    """New tables of random columns, and statements over them, alone and in transactions."""
    columns = columns_of(rng.choices(list(KINDS.values()), k=rng.randint(3, 7)))
    values = Values(rng, is_wild=rng.random() < 0.5)
    target, source = random_name(rng), random_name(rng)
    with server.connect() as ours, new_duckdb() as duck:
        for table, check in ((target, rng.random() < 0.3), (source, False)):
            definitions = ["id bigint NOT NULL"] + [f"{c.name} {c.kind.sql}" for c in columns[1:]]
            definitions += ["CHECK (id < 1000)"] if check else []
            create = f"CREATE TABLE {table} ({', '.join(definitions)})"
            history.append(create)
            ours.execute(create.encode())
            duck.execute(create)
        copies = Copies(ours, duck, server.warehouse, folder / "copies", target, columns, rng, tally)
        script = Script(rng, copies, source, values)
        fill(ours, duck, source, columns, rng, values, history)
        run_statements(copies, script, rng, history)
        copies.compare_disk(copies.duck_rows())


def fill(ours: Any, duck: Any, source: str, columns: list[Column], rng: random.Random, values: Values,
         history: list[str]) -> None:
    """Rows of the source, each with an id of its own."""
    rows = [(n, *(values.value(c.kind) for c in columns[1:])) for n in rng.sample(range(IDS), rng.randint(5, 40))]
    lists = [", ".join(literal(c.kind, value) for c, value in zip(columns, row)) for row in rows]
    insert = f"INSERT INTO {source} VALUES ({'), ('.join(lists)})"
    history.append(insert)
    ours.execute(insert.encode())
    duck.execute(to_duckdb(insert))


def run_statements(copies: Copies, script: Script, rng: random.Random, history: list[str]) -> None:
    """The statements of a round."""
    left = 0
    for n in range(STATEMENTS_A_ROUND):
        if not copies.in_transaction and n > 1 and rng.random() < 0.25:
            left = rng.randint(1, 4)
            history.append("BEGIN")
            copies.begin()
        statement = script.insert_values() if n < 2 else script.next()
        history.append(statement.sql)
        copies.run(statement)
        left -= 1
        if copies.in_transaction and (left <= 0 or n == STATEMENTS_A_ROUND - 1):
            commit = rng.random() < 0.75
            history.append("COMMIT" if commit else "ROLLBACK")
            copies.end(commit)


if __name__ == "__main__":
    play_rounds("dml", __doc__, 20, play_round)
