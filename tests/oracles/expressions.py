"""Random expressions that mean the same in PostgreSQL, in DuckDB and in DataFusion.

Left out, for the engines differ by design: patterns with a backslash (DuckDB has no default escape), `~` (DuckDB
matches the whole text), division of numerics (three different scales), round of doubles (half to even or away from
zero), text of floating point, abs, greatest and least of wild floats (the sign of a zero). Integers are only added in tame tables: engines differ in when an overflow is found.
"""

from __future__ import annotations

from .values import BIGINT, KINDS, TEXT, Column, Kind, Values, literal, quoted

COMPARISONS = ["=", "<>", "<", "<=", ">", ">="]
# Two columns of these families are compared with each other.
MIXED = {"integer": ["integer", "numeric", "float"], "date": ["date", "timestamp"]}
FAMILY_KIND = {"boolean": KINDS["boolean"], "integer": BIGINT, "float": KINDS["double precision"],
               "numeric": KINDS["numeric(12,3)"], "text": TEXT, "date": KINDS["date"],
               "timestamp": KINDS["timestamp"], "timestamptz": KINDS["timestamptz"], "bytea": KINDS["bytea"]}


class Expressions:
    """Expressions over the columns in reach."""

    def __init__(self, values: Values, columns: list[Column], for_delta: bool = False) -> None:
        """`for_delta`: delta-rs, which casts numbers and booleans to integers in its own way, must understand them too."""
        self.values, self.rng, self.columns, self.for_delta = values, values.rng, columns, for_delta

    def with_columns(self, columns: list[Column]) -> Expressions:
        """The same over other columns."""
        return Expressions(self.values, columns, self.for_delta)

    def of(self, family: str, depth: int = 2) -> str:
        """An expression of a family of types."""
        candidates = [c for c in self.columns if c.kind.family == family]
        if depth <= 0 or self.rng.random() < 0.25:
            if candidates and self.rng.random() < 0.8:
                return self.rng.choice(candidates).name
            return self.constant(self.rng.choice(candidates).kind if candidates else FAMILY_KIND[family])
        if self.rng.random() < 0.25:
            return self.choice_of(family, depth - 1)
        make = {"boolean": self.parenthesised, "integer": self.integer, "float": self.float, "numeric": self.numeric,
                "text": self.text, "date": self.date, "timestamp": self.timestamp}.get(family)
        return make(depth - 1) if make else self.of(family, 0)

    def constant(self, kind: Kind) -> str:
        """A value that the columns may hold."""
        return literal(kind, self.values.known(kind))

    def choice_of(self, family: str, depth: int) -> str:
        """What takes any type: CASE, coalesce and the like."""
        one, other = self.of(family, depth), self.of(family, depth)
        forms = [f"CASE WHEN {self.predicate(depth)} THEN {one} ELSE {other} END",
                 f"CASE WHEN {self.predicate(depth)} THEN {one} WHEN {self.predicate(0)} THEN {other} END",
                 f"coalesce({one}, {other})", f"nullif({one}, {other})"]
        if family not in ("boolean", "bytea") and not (family == "float" and self.values.is_wild):
            forms += [f"greatest({one}, {other})", f"least({one}, {other})"]
        return self.rng.choice(forms)

    def integer(self, depth: int) -> str:
        """Integers; the arithmetic of tame ones stays far from any limit."""
        a, b = self.of("integer", depth), self.of("integer", 0)
        n = self.rng.randint(1, 9)
        forms = [f"length({self.of('text', depth)})", f"strpos({self.of('text', depth)}, {quoted('a')})", f"({a}) % {n}"]
        if not self.values.is_wild:
            forms += [f"(CAST({a} AS bigint) + {b})", f"(CAST({a} AS bigint) - {b})", f"({a}) * CAST({n} AS bigint)",
                      f"({a}) / {n}", f"abs({a})", f"CAST(sign({a}) AS bigint)", f"-({a})", self.days(),
                      f"CAST(extract({self.rng.choice(['year', 'quarter', 'month', 'week', 'day', 'dow', 'isodow', 'doy'])} "
                      f"FROM {self.of('date', depth)}) AS bigint)",
                      f"CAST(extract({self.rng.choice(['year', 'month', 'day', 'hour', 'minute'])} "
                      f"FROM {self.of('timestamp', depth)}) AS bigint)"]
            if not self.for_delta:
                forms += [f"CAST({self.of('boolean', 0)} AS integer)", f"CAST({self.of('numeric', depth)} AS bigint)",
                          f"CAST({self.of('float', depth)} AS bigint)"]
        return self.rng.choice(forms)

    def days(self) -> str:
        """The days between two dates."""
        return f"({self.of('date', 0)} - {self.of('date', 0)})"

    def float(self, depth: int) -> str:
        """Floating point."""
        a, b = self.of("float", depth), self.of("float", 0)
        if self.values.is_wild:
            return f"-({a})"
        forms = [f"-({a})", f"abs({a})", f"({a} + {b})", f"({a} - {b})", f"({a}) * 2", f"({a}) / 4", f"floor({a})", f"ceil({a})",
                 f"trunc({a})", f"sqrt(abs({a}))", f"CAST({self.of('integer', depth)} AS double precision)",
                 f"CAST({self.of('numeric', depth)} AS double precision)", f"ln(abs({a}) + 1)", f"CAST(sign({a}) AS double precision)"]
        return self.rng.choice(forms)

    def numeric(self, depth: int) -> str:
        """Exact decimals."""
        a, b = self.of("numeric", depth), self.of("numeric", 0)
        forms = [f"-({a})", f"abs({a})"]
        if not self.values.is_wild:
            forms += [f"({a} + {b})", f"({a} - {b})", f"({self.of('numeric', 0)} * CAST('1.5' AS numeric(4,2)))",
                      f"CAST({self.of('integer', 0)} AS numeric(12,3))", f"round({a}, {self.rng.randint(0, 2)})",
                      f"({a} + {self.of('integer', 0)})", f"floor({a})", f"ceil({a})"]
        return self.rng.choice(forms)

    def text(self, depth: int) -> str:
        """Texts."""
        a, b, n = self.of("text", depth), self.of("text", 0), self.rng.randint(0, 4)
        return self.rng.choice([
            f"({a} || {b})", f"upper({a})", f"lower({a})", f"substr({a}, {n + 1}, {n})", f"left({a}, {n})", f"right({a}, {n})",
            f"replace({a}, 'a', 'xy')", f"trim({a})", f"ltrim({a})", f"rtrim({a})", f"reverse({a})", f"concat({a}, {b})",
            f"lpad({a}, {n}, '*')", f"rpad({a}, {n}, '*')", f"split_part({a}, 'a', 1)", f"repeat({a}, {n % 3})",
            f"CAST({self.of('integer', depth)} AS text)", f"CAST({self.of('boolean', 0)} AS text)",
            f"CAST({self.of('date', 0)} AS text)", f"md5({a})"])

    def date(self, depth: int) -> str:
        """Days."""
        if self.values.is_wild:
            return self.of("date", 0)
        return self.rng.choice([f"({self.of('date', depth)} + {self.rng.randint(-40, 40)})",
                                f"CAST({self.of('timestamp', depth)} AS date)", f"CAST({self.of('timestamptz', 0)} AS date)"])

    def timestamp(self, depth: int) -> str:
        """Times without a zone."""
        if self.values.is_wild:
            return self.of("timestamp", 0)
        unit = self.rng.choice(["year", "quarter", "month", "week", "day", "hour", "minute", "second"])
        interval = self.rng.choice(["3 days", "1 month", "2 hours", "-90 minutes", "1 year 2 months"])
        return self.rng.choice([f"date_trunc('{unit}', {self.of('timestamp', depth)})",
                                f"({self.of('timestamp', depth)} + INTERVAL '{interval}')",
                                f"CAST({self.of('date', depth)} AS timestamp)"])

    def predicate(self, depth: int = 2) -> str:
        """A condition: true, false or NULL for each row."""
        rng = self.rng
        if depth > 0 and rng.random() < 0.45:
            one, other = self.predicate(depth - 1), self.predicate(depth - 1)
            return rng.choice([f"({one} AND {other})", f"({one} OR {other})", f"NOT ({one})", f"(({one}) IS TRUE)",
                               f"(({one}) IS NOT FALSE)", f"(({one}) IS NULL)", f"(({one}) = ({other}))"])
        column = rng.choice(self.columns)
        family = column.kind.family
        left = column.name if rng.random() < 0.7 else self.of(family, depth - 1)
        if rng.random() < 0.12:
            return f"{left} {rng.choice(['IS NULL', 'IS NOT NULL'])}"
        if family == "boolean" and rng.random() < 0.5:
            return rng.choice([left, f"NOT {left}", f"{left} IS NOT TRUE"])
        if family == "text" and rng.random() < 0.4:
            return self.pattern(left)
        def right() -> str:
            if rng.random() < 0.65:
                return self.constant(column.kind)
            others = MIXED.get(family, [family])
            return self.of(rng.choice(others), depth - 1)
        distinct = f"{left} IS {rng.choice(['', 'NOT '])}DISTINCT FROM {right()}"
        return rng.choice([
            f"{left} {rng.choice(COMPARISONS)} {right()}", f"{left} {rng.choice(COMPARISONS)} {right()}",
            f"{left} {rng.choice(['', 'NOT '])}BETWEEN {right()} AND {right()}",
            f"{left} {rng.choice(['', 'NOT '])}IN ({self.members(column.kind)})",
            distinct])

    def parenthesised(self, depth: int) -> str:
        """A condition as an operand."""
        return f"({self.predicate(depth)})"

    def members(self, kind: Kind) -> str:
        """The list of IN, sometimes with a NULL."""
        items = [self.constant(kind) for _ in range(self.rng.randint(1, 4))]
        if self.rng.random() < 0.2:
            items.append("NULL")
        return ", ".join(items)

    def pattern(self, left: str) -> str:
        """LIKE and its kin, with the beginning of a value, its middle, or all of it."""
        word = self.values.known(TEXT).replace("\\", "")
        word = word[:self.rng.randint(0, len(word))]
        like = self.rng.choice(["LIKE", "NOT LIKE", "LIKE", "ILIKE"])
        if like == "ILIKE":
            word = "".join(c for c in word if c.isascii())
        return f"{left} {like} {quoted(self.rng.choice([word + '%', '%' + word, '%' + word + '%', word, '_' + word + '%']))}"
