"""Decode what dense heads put out, for a batch at once, into candidates of fixed number."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmdet.models.dense_heads import YOLOXHead
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ...losses.prior_grid import prior_generator
from ...losses.readers import has_softmax, reader_of
from .suppress import OFF, Detections


class Chosen(NamedTuple):
    """The best K of a level's priors, for each image; not decoded.

    Attributes:
        scores: (N, K), ``OFF`` for those below the threshold.
        labels: (N, K), classes.
        encoded: (N, K, d), what the head says of their boxes.
        priors: (N, K, 4 or 2).
        levels: (N, K).
    """

    scores: Tensor
    labels: Tensor
    encoded: Tensor
    priors: Tensor
    levels: Tensor


class DenseDecoder(nn.Module):
    """Find the candidates of a dense head: its best priors, decoded, before suppression.

    Args:
        head: One of :data:`.served.DENSE_HEADS`, in eval.
        cfg: Its ``test_cfg``.
    """

    def __init__(self, head: nn.Module, cfg: ConfigDict) -> None:
        super().__init__()
        self.head = head
        # What the readers read is what a head puts out in training. Its layers stay in eval.
        self.head.training = True
        self.cfg = cfg

    def forward(
        self, feats: tuple[Tensor, ...], size: tuple[int, int]
    ) -> tuple[Detections, Tensor]:
        """Return the candidates of all levels, and the level of each (N, K).

        Args:
            feats: The neck's maps.
            size: Height and width of the image, without padding: boxes are clipped to it.
        """
        outputs = self.head(feats)
        levels = [self._choose(outputs, level) for level in range(len(outputs[0]))]
        chosen = Chosen(*(torch.cat(each, 1) for each in zip(*levels)))
        boxes = self._boxes(chosen, size)
        scores = self._without_small(boxes, chosen.scores)
        return Detections(boxes, scores, chosen.labels), chosen.levels

    def _choose(self, outputs: tuple, level: int) -> Chosen:
        maps = [output[level] for output in outputs]
        generator = prior_generator(self.head)
        rows = [_rows(each, generator.num_base_priors[level]) for each in maps]
        scores, labels, place = self._best(rows)
        encoded = rows[reader_of(self.head).box_entry]
        encoded = encoded.gather(1, place[..., None].expand(-1, -1, encoded.shape[2]))
        priors = generator.single_level_grid_priors(maps[0].shape[2:], level, device='cpu')
        priors = get_box_tensor(priors)[place]
        return Chosen(scores, labels, encoded, priors, torch.full_like(place, level))

    def _best(self, rows: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores, classes and priors (N, K) of the best pairs of prior and class."""
        logits = rows[0]
        if one_class_each(self.head):
            scores = logits.sigmoid().amax(2) * rows[2].sigmoid()[..., 0]
            place = torch.arange(scores.shape[1]).expand(scores.shape)
            return self._above(scores), logits.argmax(2), place
        scores = logits.softmax(2)[..., :-1] if has_softmax(self.head) else logits.sigmoid()
        classes = scores.shape[2]
        scores = self._above(scores.flatten(1))
        scores, pair = scores.topk(torch.sym_min(self.cfg.nms_pre, scores.shape[1]))
        place = pair // classes
        if len(rows) > 2:
            factors = rows[2].sigmoid()[..., 0].gather(1, place)
            scores = torch.where(scores >= 0, scores * factors, OFF)
        return scores, pair % classes, place

    def _above(self, scores: Tensor) -> Tensor:
        return torch.where(scores > self.cfg.get('score_thr', 0), scores, OFF)

    def _boxes(self, chosen: Chosen, size: tuple[int, int]) -> Tensor:
        """Decode boxes (N, K, 4)."""
        rows = (each.flatten(0, 1) for each in (chosen.encoded, chosen.priors, chosen.levels))
        boxes = get_box_tensor(reader_of(self.head).decode(self.head, *rows))
        boxes = boxes.reshape(*chosen.scores.shape, 4)
        coder = getattr(self.head, 'bbox_coder', None)
        return clipped(boxes, size) if getattr(coder, 'clip_border', False) else boxes

    def _without_small(self, boxes: Tensor, scores: Tensor) -> Tensor:
        """Return scores that are off where a side is not larger than ``min_bbox_size``."""
        least = self.cfg.get('min_bbox_size', -1)
        if least < 0:
            return scores
        sides = boxes[..., 2:] - boxes[..., :2]
        return torch.where(sides.amin(2) > least, scores, OFF)


def clipped(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Clip boxes (…, 4) to an image of this height and width."""
    height, width = size
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack([x, y], -1).flatten(-2)


def one_class_each(head: nn.Module) -> bool:
    """Return whether a prior has only the best of its classes, times objectness: YOLOX."""
    return isinstance(head, YOLOXHead)


def _rows(output: Tensor, priors: int) -> Tensor:
    """Arrange a map (N, A · d, H, W) as rows (N, H · W · A, d)."""
    images, channels, height, width = output.shape
    # No -1: of some sizes PyTorch would make d a formula, too, which ONNX cannot have.
    size = images, height * width * priors, channels // priors
    return output.permute(0, 2, 3, 1).reshape(size)
