"""Other engines read the tables from disk: the same rows as the server has. Only the server may write them."""

import glob
import os

import duckdb
import duckdb_extension_delta
import polars
import psycopg
import pyarrow
from deltalake import DeltaTable, write_deltalake

warehouse = os.environ["CENOTE_WAREHOUSE"]
columns = "id, b, s, l, r, d, n, t, v, day, ts, tz, raw"

with psycopg.connect(autocommit=True) as connection:
    connection.execute("CREATE SCHEMA shared")
    connection.execute("CREATE TABLE shared.everything (id integer NOT NULL, b boolean, s smallint, l bigint, r real, d double precision, "
                       "n numeric(12,3), t text, v varchar(10), day date, ts timestamp, tz timestamptz, raw bytea, "
                       "CONSTRAINT counted CHECK (id > 0))")
    connection.execute("INSERT INTO shared.everything VALUES "
                       "(1, true, -32768, 9223372036854775807, 1.5, 0.1, -12.345, 'Grüße', 'abc', '2026-02-28', "
                       "'2026-02-28 23:59:59.123456', '2026-02-28 12:00:00+02', '\\x00ff'), "
                       "(2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), "
                       "(3, false, 0, 0, 0, 0, 0, '', '', '1969-12-31', '1969-12-31 23:59:59', '1970-01-01 00:00:00+00', '')")
    # A history of every kind of change, so that readers must apply removes as well as adds.
    connection.execute("INSERT INTO shared.everything (id, t) SELECT n, 'row ' || n FROM generate_series(4, 500) AS g(n)")
    connection.execute("UPDATE shared.everything SET d = id / 4.0 WHERE id % 3 = 0")
    connection.execute("DELETE FROM shared.everything WHERE id % 5 = 0")
    connection.execute("MERGE INTO shared.everything e USING (SELECT n FROM generate_series(490, 510) AS g(n)) AS s ON e.id = s.n "
                       "WHEN MATCHED THEN UPDATE SET t = 'merged' WHEN NOT MATCHED THEN INSERT (id, t) VALUES (s.n, 'new')")
    expected = connection.execute(f"SELECT {columns} FROM shared.everything ORDER BY id").fetchall()
    before = connection.execute(f"SELECT {columns} FROM shared.everything VERSION AS OF 2 ORDER BY id").fetchall()
    connection.execute("CREATE TABLE shared.by_day (id integer, day date) USING DELTA PARTITIONED BY (day)")
    connection.execute("INSERT INTO shared.by_day SELECT n, DATE '2026-01-01' + n % 3 FROM generate_series(1, 9) AS g(n)")
    connection.execute("INSERT INTO shared.by_day VALUES (10, NULL)")
    by_day = connection.execute("SELECT id, day FROM shared.by_day ORDER BY id").fetchall()

[path] = glob.glob(f"{warehouse}/shared/everything-*")
[by_day_path] = glob.glob(f"{warehouse}/shared/by_day-*")


def same(name, rows, wanted):
    """Compares rows value by value, so that a difference is shown small."""
    assert len(rows) == len(wanted), f"{name}: {len(rows)} rows, the server has {len(wanted)}"
    for row, want in zip(rows, wanted):
        assert tuple(row) == tuple(want), f"{name}: {row}, the server has {want}"
    print(f"{name}: {len(rows)} equal rows")


names = columns.split(", ")


def arrow_rows(table):
    table = table.select(names).sort_by("id")
    return list(zip(*(table.column(name).to_pylist() for name in names)))


delta = DeltaTable(path)
same("deltalake", arrow_rows(delta.to_pyarrow_table()), expected)
same("deltalake, version 2", arrow_rows(DeltaTable(path, version=2).to_pyarrow_table()), before)
operations = [entry["operation"] for entry in reversed(delta.history())]
assert operations == ["CREATE TABLE", "WRITE", "WRITE", "UPDATE", "DELETE", "MERGE"], operations

same("polars", polars.read_delta(path).select(names).sort("id").rows(), expected)

base = os.path.dirname(duckdb_extension_delta.__file__)
[extension] = glob.glob(f"{base}/extensions/*/delta.duckdb_extension")
duck = duckdb.connect()
duck.execute(f"LOAD '{extension}'")
rows = duck.execute(f"SELECT {columns} FROM delta_scan('{path}') ORDER BY id").fetchall()
same("duckdb", rows, expected)
same("duckdb, partitioned", duck.execute(f"SELECT id, day FROM delta_scan('{by_day_path}') ORDER BY id").fetchall(), by_day)

# The statistics in the log are right: a filter that skips files finds what it should.
found = duck.execute(f"SELECT count(*) FROM delta_scan('{path}') WHERE id BETWEEN 505 AND 600").fetchone()
assert found == (6,), found

# The server coordinates writes: another writer is refused, and the table stays as it is.
one_row = pyarrow.table({"id": pyarrow.array([10000], pyarrow.int32())})
log = sorted(os.listdir(f"{path}/_delta_log"))
for attempt, write in [
    ("append", lambda: write_deltalake(path, one_row, mode="append", schema_mode="merge")),
    ("delete", lambda: DeltaTable(path).delete("id = 1")),
    ("compaction", lambda: DeltaTable(path).optimize.compact()),
]:
    try:
        write()
    except Exception as error:
        assert "cenote.coordinated" in str(error), f"{attempt}: refused for another reason: {error}"
        print(f"deltalake: {attempt} is refused")
    else:
        raise AssertionError(f"deltalake: {attempt} should have been refused")
assert sorted(os.listdir(f"{path}/_delta_log")) == log

with psycopg.connect(autocommit=True) as connection:
    after = connection.execute(f"SELECT {columns} FROM shared.everything ORDER BY id").fetchall()
assert after == expected
