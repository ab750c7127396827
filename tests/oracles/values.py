"""The column types, random values of each, how SQL writes them, and the three dialects."""

from __future__ import annotations

import datetime
import math
import random
import re
import string
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

UTC = datetime.timezone.utc
VARCHAR_LENGTH = 8
# Statistics of text are cut at 32 characters, so values must differ before, at and after that length.
CUT = 32


@dataclass(frozen=True)
class Kind:
    """A column type: its name in SQL, its family for expressions, and what deltalake is given for it."""

    sql: str
    family: str
    arrow: pa.DataType


KINDS = {kind.sql: kind for kind in [
    Kind("boolean", "boolean", pa.bool_()),
    Kind("smallint", "integer", pa.int16()),
    Kind("integer", "integer", pa.int32()),
    Kind("bigint", "integer", pa.int64()),
    Kind("real", "float", pa.float32()),
    Kind("double precision", "float", pa.float64()),
    Kind("numeric(12,3)", "numeric", pa.decimal128(12, 3)),
    Kind("text", "text", pa.string()),
    Kind(f"varchar({VARCHAR_LENGTH})", "text", pa.string()),
    Kind("date", "date", pa.date32()),
    Kind("timestamp", "timestamp", pa.timestamp("us")),
    Kind("timestamptz", "timestamptz", pa.timestamp("us", "UTC")),
    Kind("bytea", "bytea", pa.binary()),
]}
BIGINT, TEXT = KINDS["bigint"], KINDS["text"]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    kind: Kind

    def of(self, alias: str) -> Column:
        """The same column behind a table's alias."""
        return Column(f"{alias}.{self.name}", self.kind)


def columns_of(kinds: list[Kind]) -> list[Column]:
    """Columns of these types: `id bigint` first, then one each, named after type and place."""
    return [Column("id", BIGINT)] + [Column(f"{kind.sql[:3]}{n}", kind) for n, kind in enumerate(kinds)]


def real_positions(columns: list[Column]) -> set[int]:
    """Where the columns of type real stand."""
    return {n for n, column in enumerate(columns) if column.kind.sql == "real"}


class Values:
    """Random values. Tame ones can be added up exactly in any order; wild ones are the extremes of their type."""

    def __init__(self, rng: random.Random, is_wild: bool, null_share: float = 0.15) -> None:
        self.rng, self.is_wild, self.null_share = rng, is_wild, null_share

    def value(self, kind: Kind) -> Any:
        """A value or NULL, from few enough that values meet each other."""
        if self.rng.random() < self.null_share:
            return None
        return self.known(kind)

    def known(self, kind: Kind) -> Any:
        """A value that is not NULL."""
        rng = self.rng
        wild = self.is_wild and rng.random() < 0.3
        match kind.family:
            case "boolean":
                return rng.random() < 0.5
            case "integer":
                top = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}[kind.sql] - 1
                return rng.choice([top, -top - 1, top - 1, -1, 0]) if wild else rng.randint(-20, 20)
            case "float":
                largest = 3.0e38 if kind.sql == "real" else 1.7e308
                extremes = [math.nan, math.inf, -math.inf, -0.0, largest, -largest, 1e-30]
                return rng.choice(extremes) if wild else rng.randint(-80, 80) / 8
            case "numeric":
                return Decimal(rng.choice(["999999999.999", "-999999999.999", "0.001", "-0.001"])) if wild \
                    else Decimal(rng.randint(-40, 40) * 250).scaleb(-3)
            case "text":
                return self.text(kind, wild)
            case "date":
                return rng.choice([datetime.date(1, 1, 1), datetime.date(9999, 12, 31), datetime.date(1969, 12, 31)]) \
                    if wild else datetime.date(2024, 1, 1) + datetime.timedelta(days=rng.randint(-60, 60))
            case "timestamp":
                return self.moment(wild)
            case "timestamptz":
                return self.moment(wild).replace(tzinfo=UTC)
            case "bytea":
                return rng.choice([b"\xff" * 40, b"\x00" * 33, b"\x00"]) if wild \
                    else bytes(rng.choice(b"\x00\x01a\xff") for _ in range(rng.randint(0, 3)))
        raise ValueError(kind)

    def text(self, kind: Kind, wild: bool) -> str:
        """Short words that repeat; wild ones are long with a common beginning, or need several bytes."""
        rng = self.rng
        if not wild:
            return "".join(rng.choice("abcAB %_'é") for _ in range(rng.randint(0, 4)))
        top = "\U0010ffff"
        short = ["", " ", "Grün", "世界", "🐧", top, "\x7f", "NULL", "null", "\\", '"']
        if kind is not TEXT:
            return rng.choice(short)
        beginning = rng.choice(["penguin" * 6, "ö" * 40, top * CUT, top * 40, "🐧" * (CUT - 1)])
        length = rng.choice([CUT - 1, CUT, CUT + 1, len(beginning)])
        return rng.choice([*short, beginning[:length] + rng.choice(["", "a", "b", top])])

    def moment(self, wild: bool) -> datetime.datetime:
        """A time; its microseconds are more than the milliseconds that statistics keep."""
        rng = self.rng
        if wild:
            return rng.choice([datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999),
                               datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), datetime.datetime(1970, 1, 1),
                               datetime.datetime(2262, 4, 12, 1, 2, 3, 456789)])
        day = datetime.datetime(2024, 1, 1) + datetime.timedelta(days=rng.randint(-40, 40))
        return day + datetime.timedelta(seconds=rng.choice([0, 1, 3661]), microseconds=rng.choice([0, 1, 999, 1000, 1001]))


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def literal(kind: Kind, value: Any) -> str:
    """A value as Cenote reads it; `to_duckdb` and `to_delta` turn it into what the others read."""
    if value is None:
        return f"CAST(NULL AS {kind.sql})"
    match kind.family:
        case "boolean":
            return "true" if value else "false"
        case "integer":
            return str(value) if abs(value) < 2**31 else f"CAST('{value}' AS bigint)"
        case "float":
            return f"CAST('{value!r}' AS {kind.sql})"
        case "text":
            return quoted(value)
        case "bytea":
            return f"CAST('\\x{value.hex()}' AS bytea)"
        case "date":
            return f"CAST('{value.isoformat()}' AS date)"
        case "timestamp":
            return f"CAST('{value.isoformat(sep=' ')}' AS timestamp)"
        case "timestamptz":
            return f"CAST('{value.isoformat(sep=' ')}' AS timestamptz)"
    return f"CAST('{value}' AS {kind.sql})"


_BYTEA = re.compile(r"CAST\('\\x([0-9a-f]*)' AS bytea\)")
_TIMESTAMP = re.compile(r"CAST\('([^']*)' AS timestamp\)")
_TIMESTAMPTZ = re.compile(r"CAST\('([^']*)' AS timestamptz\)")
_NO_BYTES = re.compile(r"CAST\(NULL AS (bytea|timestamp|timestamptz)\)")


def to_duckdb(sql: str) -> str:
    """DuckDB writes each byte with its own escape."""
    return _BYTEA.sub(lambda m: "'" + "".join(f"\\x{m[1][i:i + 2]}" for i in range(0, len(m[1]), 2)) + "'::blob", sql)


def to_delta(sql: str) -> str:
    """delta-rs wants times in the unit of the columns, and DataFusion's own name for one function."""
    sql = _BYTEA.sub(r"X'\1'", sql).replace("sign(", "signum(")
    sql = _NO_BYTES.sub("NULL", sql)
    sql = _TIMESTAMP.sub(r"arrow_cast('\1', 'Timestamp(Microsecond, None)')", sql)
    return _TIMESTAMPTZ.sub(r"""arrow_cast('\1', 'Timestamp(Microsecond, Some("UTC"))')""", sql)


def random_name(rng: random.Random) -> str:
    """A name that no table of the warehouse has yet."""
    return "".join(rng.choices(string.ascii_lowercase, k=10))
