"""TPC-H: its data by tpchgen-cli, its tables in a Cenote warehouse, its queries."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from .bench import Bench
from .cenote import Server

SCHEMA = {
    "region": "r_regionkey bigint, r_name text, r_comment text",
    "nation": "n_nationkey bigint, n_name text, n_regionkey bigint, n_comment text",
    "supplier": "s_suppkey bigint, s_name text, s_address text, s_nationkey bigint, s_phone text, s_acctbal numeric(15,2), "
                "s_comment text",
    "customer": "c_custkey bigint, c_name text, c_address text, c_nationkey bigint, c_phone text, c_acctbal numeric(15,2), "
                "c_mktsegment text, c_comment text",
    "part": "p_partkey bigint, p_name text, p_mfgr text, p_brand text, p_type text, p_size integer, p_container text, "
            "p_retailprice numeric(15,2), p_comment text",
    "partsupp": "ps_partkey bigint, ps_suppkey bigint, ps_availqty integer, ps_supplycost numeric(15,2), ps_comment text",
    "orders": "o_orderkey bigint, o_custkey bigint, o_orderstatus text, o_totalprice numeric(15,2), o_orderdate date, "
              "o_orderpriority text, o_clerk text, o_shippriority integer, o_comment text",
    "lineitem": "l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber integer, l_quantity numeric(15,2), "
                "l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), l_returnflag text, "
                "l_linestatus text, l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct text, "
                "l_shipmode text, l_comment text",
}
TABLES = list(SCHEMA)


def generate(cache: Path, scale: float) -> Path:
    """The folder of `<table>.parquet` at a scale; made once, then taken from the cache."""
    folder = cache / f"tpch-{scale:g}"
    if not (folder / ".complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        program = Path(sys.executable).with_name("tpchgen-cli")
        subprocess.run([program, "parquet", "-s", f"{scale:g}", "--quiet", "--overwrite", "--output-dir", folder], check=True)
        (folder / ".complete").touch()
    return folder


def create(connection: psycopg.Connection[Any], schema: str, table: str, properties: str = "") -> None:
    """An empty table; as in TPC-H, no column may be NULL."""
    columns = ", ".join(f"{column} NOT NULL" for column in SCHEMA[table].split(", "))
    connection.execute(f"CREATE TABLE {schema}.{table} ({columns}) {properties}")


def load(connection: psycopg.Connection[Any], schema: str, data: Path) -> None:
    """A schema with all eight tables, loaded by COPY from Parquet."""
    connection.execute(f"CREATE SCHEMA {schema}")
    for table in TABLES:
        create(connection, schema, table)
        connection.execute(f"COPY {schema}.{table} FROM '{data / table}.parquet'")


def warehouse(bench: Bench) -> Path:
    """A warehouse with TPC-H in schema `tpch`, made by the first part that asks."""
    folder = bench.work / "tpch"
    if not folder.exists():
        with Server(bench.binary, folder) as server:
            load(server.connect(), "tpch", generate(bench.cache, bench.scale))
    return folder


def queries() -> dict[int, str]:
    """The 22 queries by number."""
    text = Path(__file__).with_name("queries.sql").read_text()
    parts = re.split(r"^-- (\d+)$", text, flags=re.MULTILINE)[1:]
    return {int(number): query.strip().rstrip(";") for number, query in zip(parts[::2], parts[1::2])}
