"""Sub-cells: heads that answer for c×c parts of each of their cells."""

from .convolution import SubCellConv2d
from .detector import SubCellDetector, check_cells, check_number

__all__ = ['SubCellConv2d', 'SubCellDetector', 'check_cells', 'check_number']
