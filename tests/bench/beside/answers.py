"""Whether two engines gave the same answer."""

import math
from collections.abc import Sequence
from decimal import Decimal

# Doubles are added up in another order by every engine.
RELATIVE = 1e-9


def difference(ours: Sequence[Sequence[object]], theirs: Sequence[Sequence[object]]) -> str | None:
    """The first difference between two results in the same order; none if they are equal.

    Integers, decimals, dates and text must be equal. Where one engine divides exactly and the other in
    double precision, the decimal must be the double's value, rounded or cut to its own digits.
    """
    if len(ours) != len(theirs):
        return f"{len(ours)} rows, the other has {len(theirs)}"
    for number, (a, b) in enumerate(zip(ours, theirs), 1):
        if len(a) != len(b):
            return f"{len(a)} columns, the other has {len(b)}"
        for column, (x, y) in enumerate(zip(a, b), 1):
            if not _same(x, y):
                return f"row {number}, column {column}: {x!r}, the other has {y!r}"
    return None


def _same(x: object, y: object) -> bool:
    if isinstance(x, float) and isinstance(y, Decimal):
        return _same(y, x)
    if isinstance(x, Decimal) and isinstance(y, float):
        exponent = x.as_tuple().exponent
        last_digit = 10.0 ** exponent if isinstance(exponent, int) else 0.0
        return math.isclose(float(x), y, rel_tol=RELATIVE, abs_tol=last_digit)
    if isinstance(x, float) and isinstance(y, (float, int)):
        return math.isclose(x, y, rel_tol=RELATIVE) or (math.isnan(x) and math.isnan(y))
    return x == y
