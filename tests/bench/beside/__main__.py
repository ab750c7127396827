"""Runs the parts that are asked for, and prints their figures."""

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from pathlib import Path

from .bench import Bench
from .parts import dml, inserts, memory, opening, predict, rows, tpch
from .report import Report

PARTS = {"tpch": tpch, "rows": rows, "inserts": inserts, "dml": dml, "predict": predict, "open": opening, "memory": memory}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests/bench/run.sh", description="Cenote beside real alternatives, in turn.")
    parser.add_argument("--binary", type=Path, required=True, help="the release build of cenote")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="TPC-H's scale (default 1); others are for trying out")
    parser.add_argument("--long", action="store_true", help="also 50 million rows to one client")
    parser.add_argument("--json", type=Path, help="a file for all values")
    parser.add_argument("--cache", type=Path, required=True, help="where generated data stays between runs")
    parser.add_argument("--work", type=Path, help="where the warehouses go (default: a temporary folder)")
    given = parser.parse_args()
    chosen = given.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")

    seed = int(os.environ.get("CENOTE_SEED", "42"))
    work = Path(tempfile.mkdtemp(prefix="cenote-bench-", dir=given.work))
    report = Report(_machine(given.binary) | {"seed": seed, "rounds": given.rounds, "scale": given.scale})
    bench = Bench(given.binary.resolve(), work, given.cache, given.rounds, given.scale, given.long, seed, report)
    print(json.dumps(report.machine), flush=True)
    try:
        for name in chosen:
            started = time.perf_counter()
            print(f"== {name}", flush=True)
            PARTS[name].run(bench)
            print(f"   {time.perf_counter() - started:.0f} s", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        print("\n" + report.table())
        if given.json:
            report.save(given.json)


def _machine(binary: Path) -> dict[str, object]:
    memory = next(line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {"processor": platform.machine(), "cores": len(os.sched_getaffinity(0)), "memory_gib": int(memory) >> 20,
            "load": os.getloadavg()[0], "binary_mib": binary.stat().st_size >> 20}


main()
