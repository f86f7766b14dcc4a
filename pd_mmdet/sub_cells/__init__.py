"""Sub-cells: heads that answer for c×c parts of each of their cells."""

from .convolution import SubCellConv2d
from .detector import SubCellDetector, check_cells

__all__ = ['SubCellConv2d', 'SubCellDetector', 'check_cells']
