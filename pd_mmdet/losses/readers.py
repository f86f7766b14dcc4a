"""Readers of the outputs of MMDetection's dense heads in training: logits, confidences, boxes.

There is a reader for each family of heads; :func:`reader_of` finds it by the class of the head. To
support another head, derive a reader and add it to :data:`READERS`.

Results have one row for each prior. Rows are ordered by level, then image, then cell, then prior of
the cell. P is the number of priors of all images and compared levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.dense_heads import (
    AnchorHead,
    ATSSHead,
    AutoAssignHead,
    CenterNetUpdateHead,
    DDODHead,
    FCOSHead,
    FoveaHead,
    GFLHead,
    GuidedAnchorHead,
    PAAHead,
    RepPointsHead,
    RTMDetHead,
    SABLRetinaHead,
    StageCascadeRPNHead,
    TOODHead,
    VFNetHead,
    YOLOV3Head,
    YOLOXHead,
)
from mmdet.models.task_modules.coders import (
    DeltaXYWHBBoxCoder,
    DistancePointBBoxCoder,
    LegacyDeltaXYWHBBoxCoder,
    TBLRBBoxCoder,
    YOLOBBoxCoder,
)
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from .base import refuse
from .prior_grid import by_level, prior_generator, prior_grid, strides_of

KNOWN = 'on fixed priors, as AnchorHead, FCOSHead or YOLOXHead returns them'
MOVED = 'on fixed priors, but its anchors move in every image'


@dataclass(frozen=True)
class DenseHeadOutput:
    """The output of a dense head in training, on the levels that are compared.

    Args:
        head: The head.
        outputs: The return value of its ``forward`` in training: lists with a map (N, A · d, H, W)
            for each level; A is the number of priors of a cell, d the numbers for each prior.
        levels: Indices of the levels that are compared.
        scale: Ratio of a length in the head's pixels to that in pixels of the result; boxes are
            divided by it.
    """

    head: nn.Module
    outputs: Sequence[Any]
    levels: Sequence[int]
    scale: float = 1.0

    def rows(self, entry: int) -> Tensor:
        """Arrange the head's output number ``entry`` as rows (P, d), float32."""
        priors = prior_generator(self.head).num_base_priors
        maps = [(self.outputs[entry][level], priors[level]) for level in self.levels]
        rows = [each.permute(0, 2, 3, 1).reshape(-1, each.shape[1] // n) for each, n in maps]
        return torch.cat(rows).float()

    def class_logits(self) -> Tensor:
        """Return class logits (P, classes), or (P, classes + 1) for a softmax; float32."""
        return reader_of(self.head).class_logits(self)

    def confidence(self) -> Tensor:
        """Return the scores (P,) in [0, 1] by which the head ranks its boxes in prediction."""
        return reader_of(self.head).confidence(self)

    def boxes(self, chosen: Tensor) -> Tensor:
        """Decode boxes (R, 4), x1 y1 x2 y2, of the rows ``chosen`` (R,), without clipping."""
        reader = reader_of(self.head)
        priors, levels = self._priors(chosen)
        # Some heads decode with matrix products, which autocast would round.
        with torch.autocast(priors.device.type, enabled=False):
            rows = self.rows(reader.box_entry)[chosen]
            boxes = reader.decode(self.head, rows, priors, levels)
        return get_box_tensor(boxes) / self.scale

    def _priors(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        maps = [self.outputs[0][level] for level in self.levels]
        sizes = tuple((int(rows), int(columns)) for *_, rows, columns in (m.shape for m in maps))
        grid = prior_grid(prior_generator(self.head), tuple(self.levels), sizes, maps[0].device)
        return grid.at(chosen, images=len(maps[0]))


def has_softmax(head: nn.Module) -> bool:
    """Tell whether a head has softmax scores, with the background as the last class."""
    return not getattr(head, 'use_sigmoid_cls', True)


def best_score(head: nn.Module, logits: Tensor) -> Tensor:
    """Compute the best scores (P,) from class logits.

    Args:
        head: The head.
        logits: (P, classes), or (P, classes + 1) for a softmax.

    Returns:
        The largest sigmoid score, or 1 minus the softmax score of the background.
    """
    if has_softmax(head):
        return 1 - logits.softmax(1)[:, -1]
    return logits.amax(1).sigmoid()


def product_logit(a: Tensor, b: Tensor) -> Tensor:
    """Compute the logit of sigmoid(a) · sigmoid(b)."""
    # (1 - p) / p = exp(-a) + exp(-b) + exp(-a - b)
    return -torch.logaddexp(torch.logaddexp(-a, -b), -a - b)


class DenseHeadReader:
    """The base class of all readers. It refuses any head.

    Attributes:
        box_entry: Index of the head's output that encodes its boxes.
    """

    box_entry = 1

    def check_logits(self, loss: nn.Module, head: nn.Module) -> None:
        """Refuse a head whose class logits cannot be read.

        Raises:
            TypeError: The class logits cannot be read. The message names the loss and the head.
        """
        refuse(loss, head, f'class logits {KNOWN}')

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        """Refuse a head whose boxes cannot be decoded.

        Raises:
            TypeError: The boxes cannot be decoded. The message names the loss and the head.
        """
        refuse(loss, head, f'boxes {KNOWN}')

    def class_logits(self, output: DenseHeadOutput) -> Tensor:
        """Return class logits (P, classes)."""
        return output.rows(0)

    def confidence(self, output: DenseHeadOutput) -> Tensor:
        """Return the scores (P,) in [0, 1] by which the head ranks its boxes."""
        return best_score(output.head, self.class_logits(output))

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        """Decode boxes (R, 4), x1 y1 x2 y2 in the head's pixels.

        Args:
            head: The head.
            rows: (R, d) rows of its output ``box_entry``.
            priors: The priors of these rows in the head's pixels: anchors (R, 4) or points (R, 2).
            levels: (R,) index of the level of each row.
        """
        return head.bbox_coder.decode(priors, rows)


class PriorReader(DenseHeadReader):
    """Reader of a head with class logits in its first output and boxes on fixed priors.

    Attributes:
        coders: Types of ``bbox_coder`` that can be read; () if the head does not use its coder.
    """

    coders: tuple[type, ...] = ()

    def check_logits(self, loss: nn.Module, head: nn.Module) -> None:
        pass

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        if self.coders and not isinstance(head.bbox_coder, self.coders):
            names = ' or '.join(coder.__name__ for coder in self.coders)
            refuse(loss, head, f'the bbox_coder {names}, not {type(head.bbox_coder).__name__}')


class AnchorReader(PriorReader):
    """Reader of heads that predict deltas of anchors: RetinaNet, SSD, YOLOF, RPN."""

    coders = (DeltaXYWHBBoxCoder, LegacyDeltaXYWHBBoxCoder, TBLRBBoxCoder)


class GuidedAnchorReader(AnchorReader):
    """Reader of logits only, because the anchors move."""

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        refuse(loss, head, f'boxes {MOVED}')


class CascadeRPNReader(DenseHeadReader):
    """Reader that refuses a stage of Cascade RPN, because its anchors move."""

    def check_logits(self, loss: nn.Module, head: nn.Module) -> None:
        refuse(loss, head, f'classes {MOVED}')

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        refuse(loss, head, f'boxes {MOVED}')


class SABLReader(PriorReader):
    """Reader of logits only, because the head selects box sides among buckets."""

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        refuse(loss, head, 'boxes with a gradient, but it selects box sides among buckets')


class CenternessReader(AnchorReader):
    """Reader of heads that multiply the class score by their third output: ATSS, DDOD."""

    def confidence(self, output: DenseHeadOutput) -> Tensor:
        return super().confidence(output) * output.rows(2).sigmoid().flatten()


class PAAReader(AnchorReader):
    """Reader of PAA: confidence is the geometric mean of class score and predicted IoU."""

    def confidence(self, output: DenseHeadOutput) -> Tensor:
        return (super().confidence(output) * output.rows(2).sigmoid().flatten()).sqrt()


class DistanceReader(PriorReader):
    """Reader of distances of box sides from points, in the head's pixels: RTMDet."""

    coders = (DistancePointBBoxCoder,)


class StrideReader(DistanceReader):
    """Reader of distances of box sides from points, in strides: CenterNet's update."""

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        return head.bbox_coder.decode(priors, rows * strides_of(head, levels))


class FCOSReader(StrideReader):
    """Reader of FCOS: confidence is class score times centerness."""

    def confidence(self, output: DenseHeadOutput) -> Tensor:
        return super().confidence(output) * output.rows(2).sigmoid().flatten()

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        if head.norm_on_bbox:  # the head multiplies by the stride in eval mode only
            return super().decode(head, rows, priors, levels)
        return head.bbox_coder.decode(priors, rows)


class AutoAssignReader(DistanceReader):
    """Reader of AutoAssign: class score times objectness.

    The class score alone has no meaning in the background, where it is not trained.
    """

    def class_logits(self, output: DenseHeadOutput) -> Tensor:
        return product_logit(output.rows(0), output.rows(2))


class FoveaReader(DistanceReader):
    """Reader of FoveaBox: logarithms of distances, in units of each level's base length."""

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        # The head's _bbox_decode clips boxes to the image: clipped sides would have no gradient.
        return head.bbox_coder.decode(priors, rows.exp() * by_level(head.base_edge_list, levels))


class GFLReader(StrideReader):
    """Reader of GFL: distributions of distances, in strides."""

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        return super().decode(head, head.integral(rows), head.anchor_center(priors), levels)


class VFNetReader(DistanceReader):
    """Reader of the refined boxes of VFNet."""

    box_entry = 2


class TOODReader(PriorReader):
    """Reader of TOOD: its class scores are probabilities, its boxes are in strides."""

    def class_logits(self, output: DenseHeadOutput) -> Tensor:
        probabilities = output.rows(0)
        return probabilities.logit(eps=torch.finfo(probabilities.dtype).eps)

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        return rows * strides_of(head, levels)


class RepPointsReader(PriorReader):
    """Reader of RepPoints: the box around the refined points, which are in strides."""

    box_entry = 2

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        # points2bbox fails for an empty tensor.
        boxes = head.points2bbox(rows) if len(rows) else rows[:, :4]
        return boxes * strides_of(head, levels) + priors.repeat(1, 2)


class YOLOXReader(PriorReader):
    """Reader of YOLOX: class score times objectness, as in :class:`AutoAssignReader`."""

    def class_logits(self, output: DenseHeadOutput) -> Tensor:
        return product_logit(output.rows(0), output.rows(2))

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        strides = strides_of(head, levels).expand(-1, 2)
        return head._bbox_decode(torch.cat([priors, strides], 1), rows)


class YOLOV3Reader(PriorReader):
    """Reader of YOLOv3: centre, size, objectness and classes are in one output."""

    box_entry = 0
    coders = (YOLOBBoxCoder,)

    def class_logits(self, output: DenseHeadOutput) -> Tensor:
        rows = output.rows(0)
        return product_logit(rows[:, 5:], rows[:, 4:5])

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        encoded = torch.cat([rows[:, :2].sigmoid(), rows[:, 2:4]], 1)
        return head.bbox_coder.decode(priors, encoded, strides_of(head, levels))


READERS: dict[type, DenseHeadReader] = {
    AnchorHead: AnchorReader(),
    ATSSHead: CenternessReader(),
    AutoAssignHead: AutoAssignReader(),
    CenterNetUpdateHead: StrideReader(),
    DDODHead: CenternessReader(),
    FCOSHead: FCOSReader(),
    FoveaHead: FoveaReader(),
    GFLHead: GFLReader(),
    GuidedAnchorHead: GuidedAnchorReader(),
    PAAHead: PAAReader(),
    RTMDetHead: DistanceReader(),
    RepPointsHead: RepPointsReader(),
    SABLRetinaHead: SABLReader(),
    StageCascadeRPNHead: CascadeRPNReader(),
    TOODHead: TOODReader(),
    VFNetHead: VFNetReader(),
    YOLOV3Head: YOLOV3Reader(),
    YOLOXHead: YOLOXReader(),
    object: DenseHeadReader(),
}
"""Class of a head -> its reader. A head has the reader of its nearest base class."""


def reader_of(head: nn.Module) -> DenseHeadReader:
    """Find the reader of a head."""
    return next(READERS[base] for base in type(head).__mro__ if base in READERS)
