"""The comparison itself: it must see every kind of difference, and no difference where there is none."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .compare import UTC, Mismatch, same_answer, same_stored

ROW = (1, True, 1.5, 0.1, Decimal("1.500"), "a", datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1, 0, 0, 0, 1),
       datetime.datetime(2024, 1, 1, tzinfo=UTC), b"\x00", None)
# One value of ROW each, and another that a careless comparison takes for the same.
STORED_DIFFERENCES = [(0, 2), (0, True), (1, 1), (1, None), (3, 0.10000000000000002), (4, Decimal("1.50")), (5, "a "),
                      (6, datetime.date(2024, 1, 2)), (7, datetime.datetime(2024, 1, 1)), (8, datetime.datetime(2024, 1, 1)),
                      (9, b"\x00\x00"), (9, ""), (10, 0), (10, "")]
ANSWER_DIFFERENCES = [(0, 2), (2, 1.5000001), (5, "b"), (1, 1), (10, 0), (10, False)]


def fails(run: Callable[..., None], *arguments: Any) -> None:
    """The comparison must not pass."""
    try:
        run(*arguments)
    except Mismatch:
        return
    raise AssertionError(f"no difference seen: {arguments}")


def main() -> None:
    """Changes one value, one row, one order at a time."""
    changed = lambda place, value: [ROW[:place] + (value,) + ROW[place + 1:], ROW]
    same_stored("equal", [ROW, ROW], [ROW, ROW], set())
    same_stored("real as its shortest text", [(0.1,)], [(0.10000000149011612,)], {0})
    same_stored("NaN", [(float("nan"),)], [(float("nan"),)], set())
    for place, value in STORED_DIFFERENCES:
        fails(same_stored, "changed", changed(place, value), [ROW, ROW], set())
    fails(same_stored, "sign of zero", [(0.0,)], [(-0.0,)], set())
    fails(same_stored, "a row more", [ROW, ROW], [ROW], set())
    fails(same_stored, "one twice, another once", [ROW, ROW, (2,)], [ROW, (2,), (2,)], set())

    same_answer("numbers by value", [(Decimal("1.50"), 2.0, 3)], [(1.5, 2, Decimal(3))], True)
    same_answer("any order", [(2,), (1,), (None,)], [(None,), (1,), (2,)], False)
    fails(same_answer, "order", [(2,), (1,)], [(1,), (2,)], True)
    fails(same_answer, "rows", [(1,)], [(1,), (1,)], False)
    fails(same_answer, "exact numbers", [(10**17,)], [(10**17 + 1,)], False)
    fails(same_answer, "NaN beside NULL", [(float("nan"),)], [(None,)], False)
    for place, value in ANSWER_DIFFERENCES:
        fails(same_answer, "changed", changed(place, value), [ROW, ROW], False)
    print("selftest: every difference is seen")


if __name__ == "__main__":
    main()
