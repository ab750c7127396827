"""psycopg 3 as an application uses it: its own transactions, parameters, binary results, COPY, pipelines, errors."""

import datetime
import decimal

import psycopg
from psycopg import errors

UTC = datetime.timezone.utc

with psycopg.connect() as connection:
    assert connection.info.server_version >= 160000, connection.info.server_version
    assert connection.info.encoding == "utf-8"

    # psycopg sends BEGIN by itself, and COMMIT at the end of the block.
    with connection.transaction():
        connection.execute("CREATE TABLE colony (id bigint NOT NULL, species text, mass double precision, "
                           "price numeric(10,2), hatched date, seen timestamptz, ringed boolean, marks integer[], photo bytea)")
        row = (1, "Adélie", 3750.5, decimal.Decimal("12.50"), datetime.date(2007, 11, 11),
               datetime.datetime(2026, 2, 28, 10, 0, 0, 123456, tzinfo=UTC), True, [1, 2, 3], b"\x00\xff")
        connection.execute("INSERT INTO colony VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)", row)
        connection.execute("INSERT INTO colony (id) VALUES (%s)", (2,))

    for binary in (False, True):
        with connection.cursor(binary=binary) as cursor:
            found = cursor.execute("SELECT * FROM colony WHERE id = %s", (1,)).fetchone()
            assert found == row, (binary, found)
            empty = cursor.execute("SELECT * FROM colony WHERE id = %s", (2,)).fetchone()
            assert empty == (2,) + (None,) * 8, (binary, empty)
            assert [column.name for column in cursor.description][:3] == ["id", "species", "mass"]

    # Parameters of every type, in conditions.
    count = connection.execute(
        "SELECT count(*) FROM colony WHERE species = %s AND mass > %s AND price = %s AND hatched = %s AND seen <= %s AND ringed = %s",
        ("Adélie", 3000.0, decimal.Decimal("12.5"), row[4], row[5], True)).fetchone()
    assert count == (1,), count
    later, span = connection.execute("SELECT date '2020-01-31' + %s, %s",
                                     (datetime.timedelta(days=1), datetime.timedelta(hours=36))).fetchone()
    assert later == datetime.datetime(2020, 2, 1), later
    assert span == datetime.timedelta(hours=36), span
    connection.commit()

    # A block that fails is rolled back, and the connection goes on.
    try:
        with connection.transaction():
            connection.execute("DELETE FROM colony")
            connection.execute("SELECT 1 / %s", (0,))
        raise AssertionError("a division by zero should have failed")
    except errors.DivisionByZero as error:
        assert error.sqlstate == "22012"
    assert connection.execute("SELECT count(*) FROM colony").fetchone() == (2,)
    connection.commit()

    # In a failed transaction nothing runs until it is rolled back.
    try:
        connection.execute("SELECT no_such_column FROM colony")
        raise AssertionError("an unknown column should have failed")
    except errors.UndefinedColumn as error:
        assert error.diag.statement_position == "8", error.diag.statement_position
    try:
        connection.execute("SELECT 1")
        raise AssertionError("the transaction should be aborted")
    except errors.InFailedSqlTransaction:
        connection.rollback()

    for statement, kind in [
        ("INSERT INTO colony (species) VALUES ('x')", errors.NotNullViolation),
        ("SELECT * FROM no_such_table", errors.UndefinedTable),
        ("SELEC 1", errors.SyntaxError),
        ("SELECT 9223372036854775807 + 1", errors.NumericValueOutOfRange),
        ("SELECT predict('no_such_model', x => 1)", errors.UndefinedObject),
    ]:
        try:
            connection.execute(statement)
            raise AssertionError(f"{statement} should have failed")
        except kind:
            connection.rollback()

    # COPY in and out.
    with connection.cursor() as cursor:
        with cursor.copy("COPY colony (id, species, mass) FROM STDIN") as copy:
            for n in range(3, 1003):
                copy.write_row((n, f"penguin {n}", n / 2))
        assert cursor.rowcount == 1000, cursor.rowcount
        with cursor.copy("COPY (SELECT id, species FROM colony WHERE id > 2 ORDER BY id) TO STDOUT") as copy:
            copied = list(copy.rows())
    assert copied == [(str(n), f"penguin {n}") for n in range(3, 1003)]
    connection.commit()

    with connection.cursor() as cursor:
        cursor.executemany("UPDATE colony SET mass = %s WHERE id = %s", [(1.5, 3), (2.5, 4)])
        assert cursor.rowcount == 2, cursor.rowcount
    connection.commit()

    # Several statements on their way at once.
    with connection.pipeline():
        asked = [connection.execute("SELECT %s::bigint * 2", (n,)) for n in range(20)]
        assert [cursor.fetchone() for cursor in asked] == [(2 * n,) for n in range(20)]
    connection.commit()

    # Rows as they come.
    with connection.cursor() as cursor:
        total = 0
        for (n,) in cursor.stream("SELECT n FROM generate_series(1::bigint, 20000) AS t(n)"):
            total += n
        assert total == 20000 * 20001 // 2
    connection.commit()

    # A model: trained, asked with parameters, undone with its transaction.
    connection.execute("CREATE TABLE line AS SELECT n::double precision AS x, (1 + 2 * n)::double precision AS y "
                       "FROM generate_series(0, 9) AS t(n)")
    connection.execute("CREATE MODEL line PREDICT y USING linear_regression AS SELECT x, y FROM line")
    (y,) = connection.execute("SELECT predict('line', x => %s)", (20.0,)).fetchone()
    assert abs(y - 41) < 1e-9, y
    connection.commit()
    connection.execute("TRAIN MODEL line AS SELECT x, -y AS y FROM line")
    connection.rollback()
    (y,) = connection.execute("SELECT predict('line', x => %s)", (20.0,)).fetchone()
    assert abs(y - 41) < 1e-9, y
    connection.commit()

# A second session sees what was committed; autocommit is a mode of the driver.
with psycopg.connect(autocommit=True) as connection:
    assert connection.execute("SELECT count(*), sum(mass) FROM colony WHERE id IN (3, 4)").fetchone() == (2, 4.0)
    connection.execute("SET application_name = 'tour'")
    assert connection.execute("SHOW application_name").fetchone() == ("tour",)
print("psycopg 3: all as expected")
