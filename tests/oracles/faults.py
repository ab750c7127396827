"""Faults that the oracles have found and that are not mended: the generators step around them by name.

Each stands here with the smallest statements that show it and the right answer. A run of this file fails where a fault
answers rightly: then it is mended, and its entry goes, and with it the step around it.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psycopg

from .server import Row, Server


@dataclass(frozen=True)
class Fault:
    """The last statement should answer with this row, or be refused with this code, as PostgreSQL does."""

    statements: list[str]
    want: Row | str


FAULTS = {
    # Windows, sorts and DISTINCT aggregates take zeros of different signs for different values.
    "zeros in windows": Fault(["SELECT rank() OVER (ORDER BY x DESC) FROM (VALUES (CAST('0' AS double precision)), "
                               "(CAST('-0' AS double precision))) AS v(x) ORDER BY 1 DESC LIMIT 1"], (1,)),
    "grouping sets of expressions": Fault(
        ["SELECT count(*) FROM (SELECT v.n, v.n AS m, count(*) FROM (VALUES (1)) AS v(n) GROUP BY ROLLUP (v.n, v.n)) AS d"], (3,)),
    "windows with a sort key in common": Fault(
        ["CREATE TABLE {} (id integer, n numeric(12,3))", "INSERT INTO {} VALUES (1, 1), (2, 1)",
         "SELECT cume_dist() OVER (ORDER BY -n), row_number() OVER (ORDER BY -n, id), ntile(3) OVER (ORDER BY -n, id) "
         "FROM {} ORDER BY 2"], (1.0, 1, 1)),
    "UNION with an empty side": Fault(
        ["CREATE TABLE {} (id bigint, b boolean)", "INSERT INTO {} VALUES (1, true)",
         "(SELECT DISTINCT y.id - 1, y.b IS NULL FROM {} AS y WHERE false) "
         "UNION (SELECT DISTINCT x.id, x.b FROM {} AS x) ORDER BY 2, 1 DESC"], (1, True)),
    "column named as a table": Fault(["CREATE TABLE {} (id integer, t text)", "INSERT INTO {} VALUES (1, 'x')",
                                      "SELECT count(*) FROM {} AS t WHERE EXISTS (SELECT 1 FROM {} AS s WHERE s.id = t.id)"],
                                     (1,)),
}


def is_open(name: str) -> bool:
    """Whether the fault is still to be stepped around."""
    return name in FAULTS


def answer(connection: psycopg.Connection[Row], name: str) -> object:
    """What the fault's statements answer with now."""
    table = "".join(c if c.isalnum() else "_" for c in f"fault_{name}".lower())
    try:
        for statement in FAULTS[name].statements:
            cursor = connection.execute(statement.replace("{}", table).encode())
        return cursor.fetchone() if cursor.description else cursor.statusmessage
    except psycopg.Error as error:
        return f"{error.sqlstate} {error}".splitlines()[0]


def main() -> None:
    """Shows each fault, and fails for those that are mended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cenote", type=Path, required=True, help="the path of the binary")
    cenote = parser.parse_args().cenote
    with tempfile.TemporaryDirectory(prefix="cenote-faults-") as folder:
        with Server(cenote, Path(folder) / "warehouse", Path(folder) / "log") as server, server.connect() as connection:
            mended = []
            for name, fault in FAULTS.items():
                found = answer(connection, name)
                if found == fault.want or isinstance(fault.want, str) and str(found).startswith(fault.want):
                    mended.append(name)
                print(f"  {name}: {found}, right is {fault.want}")
    assert not mended, f"mended, so take them off the list: {mended}"
    print(f"faults: {len(FAULTS)} known and stepped around")


if __name__ == "__main__":
    main()
