"""What the student reads and answers on, where the user leaves it open."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ...ratio import MAX_DENOMINATOR, parse_enlarge
from ...sub_cells import SubCellDetector, check_number
from .choose_terms import why_not

CELLS = 2


def choose_knobs(
    detector: dict[str, Any],
    ratio: Fraction,
    enlarge: int | float | str | Fraction | None = None,
    cells: int | None = None,
) -> tuple[Fraction, int]:
    """Return how many times the small image is enlarged, and the sub-cells of the student's head.

    What is None becomes what docs/benchmark.md ("Bytes and cells") found best: a one-stage detector
    reads an image half as large as the teacher's, and has 2×2 sub-cells, so that it answers on the
    teacher's cells. Other models, and ratios below 2, stay as they are.

    Args:
        detector: Config of the student.
        ratio: Side of the large image over the small one.
        enlarge: u, see :func:`parse_enlarge`. Where ``cells`` is given, its default is 1.
        cells: c, see :class:`SubCellDetector`.

    Raises:
        ValueError: ``enlarge`` or ``cells`` is not possible.
    """
    finer = cells is None and ratio >= CELLS and _can_be_finer(detector)
    if enlarge is None:
        half = ratio / CELLS
        enlarge = half if finer and half.denominator <= MAX_DENOMINATOR else 1
    enlarge = parse_enlarge(enlarge, ratio)
    if cells is None:
        cells = CELLS if finer and ratio / enlarge >= CELLS else 1
    check_number(cells)
    return enlarge, cells


def _can_be_finer(detector: dict[str, Any]) -> bool:
    """Return whether a model is a one-stage detector whose head can have sub-cells."""
    finer = dict(type=SubCellDetector.__name__, detector=detector, cells=CELLS)
    return 'rpn_head' not in detector and why_not(finer) is None
