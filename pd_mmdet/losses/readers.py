"""Read what MMDetection's dense heads return in training: logits, confidences and boxes.

There is a reader for each family of heads; :func:`reader_of` finds it by the head's class. To
support another head, derive a reader and add it to :data:`READERS`.

Results have a row for each prior: level by level, image by image, cell by cell, and the priors of
one cell.
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
MOVED = 'on fixed priors, and its anchors move in every image'


@dataclass(frozen=True)
class DenseHeadOutput:
    """The output of a dense head in training, on the levels that are compared.

    Args:
        head: The head.
        outputs: All that its ``forward`` returns in training: lists with a map (N, A · d, H, W)
            for each level.
        levels: Indices of the levels that are compared.
        scale: Pixels in which the head measures, for one of those in which boxes are wanted.
    """

    head: nn.Module
    outputs: Sequence[Any]
    levels: Sequence[int]
    scale: float = 1.0

    def rows(self, entry: int) -> Tensor:
        """Lay out one of the head's outputs as rows (P, d), float32."""
        priors = prior_generator(self.head).num_base_priors
        maps = [(self.outputs[entry][level], priors[level]) for level in self.levels]
        rows = [each.permute(0, 2, 3, 1).reshape(-1, each.shape[1] // n) for each, n in maps]
        return torch.cat(rows).float()

    def class_logits(self) -> Tensor:
        """Return class logits (P, classes), or (P, classes + 1) for a softmax; float32."""
        return reader_of(self.head).class_logits(self)

    def confidence(self) -> Tensor:
        """Return the score (P,) in [0, 1] by which the head ranks its boxes in prediction."""
        return reader_of(self.head).confidence(self)

    def boxes(self, chosen: Tensor) -> Tensor:
        """Decode boxes (R, 4), x1 y1 x2 y2, of the rows ``chosen`` (R,); not clipped."""
        reader = reader_of(self.head)
        priors, levels = self._priors(chosen)
        # Some decode with matrix products, which autocast would round.
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
    """Tell whether the classes of a head compete, the background being the last of them."""
    return not getattr(head, 'use_sigmoid_cls', True)


def best_score(head: nn.Module, logits: Tensor) -> Tensor:
    """(P, channels) -> (P,): the best class' sigmoid score, or 1 - the background's softmax."""
    if has_softmax(head):
        return 1 - logits.softmax(1)[:, -1]
    return logits.amax(1).sigmoid()


def product_logit(a: Tensor, b: Tensor) -> Tensor:
    """Compute the logit of sigmoid(a) · sigmoid(b)."""
    # (1 - p) / p = exp(-a) + exp(-b) + exp(-a - b)
    return -torch.logaddexp(torch.logaddexp(-a, -b), -a - b)


class DenseHeadReader:
    """Refuse a head of which nothing is known. The base of all readers.

    Attributes:
        box_entry: Which of the head's outputs encodes its boxes.
    """

    box_entry = 1

    def check_logits(self, loss: nn.Module, head: nn.Module) -> None:
        """Raise TypeError, naming the loss, if the head's class logits cannot be read."""
        refuse(loss, head, f'class logits {KNOWN}')

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        """Raise TypeError, naming the loss, if the head's boxes cannot be decoded."""
        refuse(loss, head, f'boxes {KNOWN}')

    def class_logits(self, output: DenseHeadOutput) -> Tensor:
        """Return class logits (P, classes)."""
        return output.rows(0)

    def confidence(self, output: DenseHeadOutput) -> Tensor:
        """Return the score (P,) by which the head ranks its boxes."""
        return best_score(output.head, self.class_logits(output))

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        """Decode boxes (R, 4) in the head's pixels from its outputs (R, d) and priors (R, 4|2).

        Args:
            head: The head.
            rows: Outputs of ``box_entry``.
            priors: The priors of these rows, in the head's pixels.
            levels: (R,) index of each row's level.
        """
        return head.bbox_coder.decode(priors, rows)


class PriorReader(DenseHeadReader):
    """Read a head with class logits in its first output and boxes on fixed priors.

    Attributes:
        coders: The kinds of ``bbox_coder`` that are read; none: the head does not use it.
    """

    coders: tuple[type, ...] = ()

    def check_logits(self, loss: nn.Module, head: nn.Module) -> None:
        pass

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        if self.coders and not isinstance(head.bbox_coder, self.coders):
            names = ' or '.join(coder.__name__ for coder in self.coders)
            refuse(loss, head, f'the bbox_coder {names}, not {type(head.bbox_coder).__name__}')


class AnchorReader(PriorReader):
    """Read deltas of anchors: RetinaNet, SSD, YOLOF, RPN."""

    coders = (DeltaXYWHBBoxCoder, LegacyDeltaXYWHBBoxCoder, TBLRBBoxCoder)


class GuidedAnchorReader(AnchorReader):
    """Read logits only: the anchors move."""

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        refuse(loss, head, f'boxes {MOVED}')


class CascadeRPNReader(DenseHeadReader):
    """Refuse a stage of Cascade RPN: its anchors move."""

    def check_logits(self, loss: nn.Module, head: nn.Module) -> None:
        refuse(loss, head, f'classes {MOVED}')

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        refuse(loss, head, f'boxes {MOVED}')


class SABLReader(PriorReader):
    """Read logits only: box sides are chosen among buckets."""

    def check_boxes(self, loss: nn.Module, head: nn.Module) -> None:
        refuse(loss, head, 'boxes with a gradient, and its sides are chosen among buckets')


class CenternessReader(AnchorReader):
    """Multiply the class score by the third output: ATSS, DDOD."""

    def confidence(self, output: DenseHeadOutput) -> Tensor:
        return super().confidence(output) * output.rows(2).sigmoid().flatten()


class PAAReader(AnchorReader):
    """Rank by the geometric mean of the class score and the predicted IoU."""

    def confidence(self, output: DenseHeadOutput) -> Tensor:
        return (super().confidence(output) * output.rows(2).sigmoid().flatten()).sqrt()


class DistanceReader(PriorReader):
    """Read distances of box sides from points, in the head's pixels: RTMDet."""

    coders = (DistancePointBBoxCoder,)


class StrideReader(DistanceReader):
    """Read distances in strides: CenterNet's update."""

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        return head.bbox_coder.decode(priors, rows * strides_of(head, levels))


class FCOSReader(StrideReader):
    """Multiply the class score by the centerness."""

    def confidence(self, output: DenseHeadOutput) -> Tensor:
        return super().confidence(output) * output.rows(2).sigmoid().flatten()

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        if head.norm_on_bbox:  # it multiplies by the stride in eval only
            return super().decode(head, rows, priors, levels)
        return head.bbox_coder.decode(priors, rows)


class AutoAssignReader(DistanceReader):
    """Take classes times objectness: the classes alone mean nothing in the background."""

    def class_logits(self, output: DenseHeadOutput) -> Tensor:
        return product_logit(output.rows(0), output.rows(2))


class FoveaReader(DistanceReader):
    """Read logarithms of distances in each level's base length."""

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        # Its own _bbox_decode clips to the image, beyond which there is no gradient.
        return head.bbox_coder.decode(priors, rows.exp() * by_level(head.base_edge_list, levels))


class GFLReader(StrideReader):
    """Read distributions of distances in strides."""

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        return super().decode(head, head.integral(rows), head.anchor_center(priors), levels)


class VFNetReader(DistanceReader):
    """Read the refined boxes."""

    box_entry = 2


class TOODReader(PriorReader):
    """Read probabilities, and boxes in strides."""

    def class_logits(self, output: DenseHeadOutput) -> Tensor:
        probabilities = output.rows(0)
        return probabilities.logit(eps=torch.finfo(probabilities.dtype).eps)

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        return rows * strides_of(head, levels)


class RepPointsReader(PriorReader):
    """Read the box around the refined points, which are in strides."""

    box_entry = 2

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        boxes = head.points2bbox(rows) if len(rows) else rows[:, :4]  # it takes no empty tensor
        return boxes * strides_of(head, levels) + priors.repeat(1, 2)


class YOLOXReader(PriorReader):
    """Take classes times objectness, as :class:`AutoAssignReader` does."""

    def class_logits(self, output: DenseHeadOutput) -> Tensor:
        return product_logit(output.rows(0), output.rows(2))

    def decode(self, head: nn.Module, rows: Tensor, priors: Tensor, levels: Tensor) -> Tensor:
        strides = strides_of(head, levels).expand(-1, 2)
        return head._bbox_decode(torch.cat([priors, strides], 1), rows)


class YOLOV3Reader(PriorReader):
    """Read centre, size, objectness and classes from one output."""

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
"""The reader of each family of heads: that of the nearest base class serves."""


def reader_of(head: nn.Module) -> DenseHeadReader:
    """Find the reader of a head."""
    return next(READERS[base] for base in type(head).__mro__ if base in READERS)
