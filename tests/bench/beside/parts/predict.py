"""predict in SQL over a million rows of ten numbers, beside the bare scan of these numbers."""

import math

from ..bench import Bench
from ..cenote import Server
from ..report import Figure
from ..turns import Side, in_turn

ROWS = 1_000_000
COLUMNS = [f"x{i}" for i in range(1, 11)]
TRAINING_ROWS = 100_000


def run(bench: Bench) -> None:
    """Trains a linear model and a forest, then measures both in SQL."""
    with Server(bench.binary, bench.folder("predict")) as server:
        connection = server.connect()
        generator = bench.random()
        # Ten columns without a pattern that compresses: fractions of multiples of ten irrational numbers.
        steps = [generator.uniform(0.1, 0.9) for _ in COLUMNS]
        weights = [float(generator.randint(-9, 9)) for _ in COLUMNS]
        columns = ", ".join(f"(n * {step!r}::double precision) - floor(n * {step!r}::double precision) AS {name}"
                            for name, step in zip(COLUMNS, steps))
        connection.execute(f"CREATE TABLE points AS SELECT n AS id, {columns} FROM generate_series(1, {ROWS}) AS t(n)")
        label = " + ".join(f"{w!r} * {name}" for name, w in zip(COLUMNS, weights))
        features = ", ".join(COLUMNS)
        source = f"FROM points WHERE id <= {TRAINING_ROWS}"
        connection.execute("CREATE MODEL line PREDICT y USING linear_regression WITH (split = 'none') "
                           f"AS SELECT {features}, 3.0::double precision + {label} AS y {source}")
        connection.execute("CREATE MODEL forest PREDICT y USING gradient_boosting WITH (rounds = 100, max_depth = 6, split = 'none') "
                           f"AS SELECT {features}, sin(6 * x1) + x2 * x3 + {label} AS y {source}")
        total = connection.execute(f"SELECT sum(predict('line', p.*)), sum(3.0::double precision + {label}) FROM points p").fetchone()
        assert total is not None
        right = math.isclose(total[0], total[1], rel_tol=1e-9)
        bench.report.note(f"predict: the linear model's sum is {'right' if right else f'WRONG: {total}'}")

        scan = Side("bare scan", lambda: connection.execute("SELECT " + ", ".join(f"sum({c})" for c in COLUMNS) + " FROM points").fetchone())
        line = Side("Cenote", lambda: connection.execute("SELECT sum(predict('line', p.*)) FROM points p").fetchone())
        forest = Side("Cenote", lambda: connection.execute("SELECT sum(predict('forest', p.*)) FROM points p").fetchone())
        bench.compare("predict", f"linear, {ROWS:,} rows of 10 columns", line, scan, ratio_goal=1.3)
        seconds = in_turn([forest], bench.rounds).seconds["Cenote"]
        bench.report.add(Figure("predict", "100 trees of depth 6", seconds, count=ROWS, value_goal=ROWS / 1e6))
