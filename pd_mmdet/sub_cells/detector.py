from __future__ import annotations

from fractions import Fraction

from mmdet.registry import MODELS
from torch import nn

from ..mixin import Mixin, put_in_front, with_preprocessor
from .heads import divide_cells


@MODELS.register_module()
class SubCellDetector(Mixin):
    """A detector whose dense head answers for c×c sub-cells of each of its cells.

    A small image has few cells, and small objects share them: that is what a detector of small
    images loses most by. Sub-cells give its head as many priors as a head on a c times larger image
    has, and leave backbone, neck and the hidden layers of the head as they are.

    It *is* the detector (same class, same names in the state dict), with two changes in its dense
    head (``bbox_head`` of one-stage detectors, ``rpn_head`` of two-stage ones):

    - The last convolutions are :class:`SubCellConv2d`.
    - The strides of the priors are divided by c. The sizes of anchors and the ranges of lengths
      that belong to a level stay.

    The checkpoint of the plain detector can be loaded: each sub-cell then starts as its cell.

    Args:
        detector: Config of the detector.
        cells: c, sub-cells along each side of a cell; 1 changes nothing.
        data_preprocessor: Used if ``detector`` has none. The runner passes the top-level
            ``data_preprocessor`` of a config file.

    Raises:
        NotImplementedError: The head cannot have sub-cells. The message says why.
        ValueError: ``cells`` is not a whole number, or less than 1.
    """

    cells: int

    def __new__(
        cls, detector: dict, cells: int, data_preprocessor: dict | None = None
    ) -> SubCellDetector:
        check_number(cells)
        model = MODELS.build(with_preprocessor(detector, data_preprocessor))
        if cells > 1:
            divide_cells(_dense_head(model), cells)
        return put_in_front(cls, model)

    def __init__(self, detector: dict, cells: int, data_preprocessor: dict | None = None) -> None:
        self.cells = cells


def check_number(cells: int) -> None:
    """Refuse a number of sub-cells that is not 1, 2, 3 …

    Raises:
        ValueError: It is no whole number, or less than 1.
    """
    if isinstance(cells, bool) or not isinstance(cells, int) or cells < 1:
        raise ValueError(
            f'cells={cells!r}: must be a whole number, 1 or more: 2 makes 2×2 of each cell'
        )


def _dense_head(model: nn.Module) -> nn.Module:
    heads = (getattr(model, name, None) for name in ('rpn_head', 'bbox_head'))
    head = next((head for head in heads if head is not None), None)
    if head is None:
        raise NotImplementedError(
            f'sub-cells of a {type(model).__name__}: it has no dense head on fixed priors '
            '(bbox_head of a one-stage detector, rpn_head of a two-stage one)'
        )
    return head


def check_cells(student: nn.Module, ratio: Fraction) -> None:
    """Refuse a student that answers on more cells than its teacher does.

    Args:
        student: A detector that reads the small image.
        ratio: Side length of the large image over the image that the student reads.

    Raises:
        ValueError: The sub-cells along each side of a cell are more than ``ratio``.
    """
    if isinstance(student, SubCellDetector) and student.cells > ratio:
        raise ValueError(
            f'cells={student.cells}: the student would answer on more cells than a teacher has '
            f'that reads the large image; at ratio={ratio} of their images, at most '
            f'{int(ratio)} is right'
        )
