"""DuckDB with its delta extension, both from PyPI: nothing is downloaded at run time."""

from pathlib import Path

import duckdb
import duckdb_extension_delta

Connection = duckdb.DuckDBPyConnection

def connect(folder: Path | None = None) -> Connection:
    """A connection with the delta extension; it spills into `folder`."""
    connection = duckdb.connect()
    [extension] = Path(duckdb_extension_delta.__file__).parent.glob("extensions/*/delta.duckdb_extension")
    connection.execute(f"LOAD '{extension}'")
    if folder:
        connection.execute(f"SET temp_directory = '{folder}'")
    return connection


def attach(connection: Connection, name: str, table: Path) -> None:
    """Gives a Delta table a name: a view over delta_scan, which reads the newest version each time."""
    connection.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM delta_scan('{table}')")
