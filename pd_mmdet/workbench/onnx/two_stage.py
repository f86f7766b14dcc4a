"""Proposals, RoIs and boxes of Faster R-CNN, for a batch at once and of fixed number."""

from __future__ import annotations

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torchvision.ops import roi_align

from .dense import DenseDecoder, clipped
from .suppress import OFF, Detections, suppress


class Proposals(nn.Module):
    """Propose boxes, as an ``RPNHead``.

    Args:
        head: The RPN.
        cfg: Its ``test_cfg``.
    """

    def __init__(self, head: nn.Module, cfg: ConfigDict) -> None:
        super().__init__()
        self.decoder = DenseDecoder(head, cfg)
        self.cfg = cfg

    def forward(self, feats: tuple[Tensor, ...], size: tuple[int, int]) -> Detections:
        """Return the best proposals of each image, at most ``max_per_img``."""
        found, levels = self.decoder(feats, size)
        return suppress(found, levels, self.cfg.nms.iou_threshold, self.cfg.max_per_img)


class RoIDecoder(nn.Module):
    """Classify proposals and refine their boxes, as a ``StandardRoIHead``.

    Args:
        roi_head: The head.
    """

    def __init__(self, roi_head: nn.Module) -> None:
        super().__init__()
        self.extractor = roi_head.bbox_roi_extractor
        self.head = roi_head.bbox_head
        self.score_thr = roi_head.test_cfg.score_thr

    def forward(
        self, feats: tuple[Tensor, ...], proposals: Detections, size: tuple[int, int]
    ) -> Detections:
        """Return a candidate for each proposal and class.

        Args:
            feats: The neck's maps.
            proposals: (N, R) of them.
            size: Height and width of the image, without padding.
        """
        images, number = proposals.scores.shape
        place = torch.arange(images)[:, None, None].expand(-1, number, 1)
        rois = torch.cat([place.float(), proposals.boxes], 2).flatten(0, 1)
        logits, deltas = self.head(self._features(feats, rois))
        boxes = self._boxes(rois, deltas, size).unflatten(0, (images, number))
        scores = logits.softmax(1)[:, :-1].unflatten(0, (images, number))
        off = (scores <= self.score_thr) | (proposals.scores < 0)[..., None]
        labels = torch.arange(scores.shape[2]).expand(scores.shape)
        scores = scores.masked_fill(off, OFF)
        return Detections(boxes.flatten(1, 2), scores.flatten(1), labels.flatten(1))

    def _features(self, feats: tuple[Tensor, ...], rois: Tensor) -> Tensor:
        """Pool features (R, C, h, w), each from the level that suits its RoI."""
        layers = self.extractor.roi_layers
        levels = self.extractor.map_roi_levels(rois, len(layers))
        pooled = rois.new_zeros(rois.shape[0], feats[0].shape[1], *layers[0].output_size)
        for level, (layer, feat) in enumerate(zip(layers, feats)):
            own = (levels == level).nonzero()[:, 0]
            features = roi_align(
                feat,
                rois[own],
                layer.output_size,
                layer.spatial_scale,
                layer.sampling_ratio,
                layer.aligned,
            )
            pooled = pooled.index_put((own,), features)
        return pooled

    def _boxes(self, rois: Tensor, deltas: Tensor, size: tuple[int, int]) -> Tensor:
        """Decode boxes (R, classes, 4)."""
        classes = 1 if self.head.reg_class_agnostic else self.head.num_classes
        coder = self.head.bbox_coder
        of_classes = rois[:, None, 1:].expand(-1, classes, -1).flatten(0, 1)
        boxes = coder.decode(of_classes, deltas.reshape(-1, 4)).reshape(-1, classes, 4)
        boxes = boxes.expand(-1, self.head.num_classes, -1)
        return clipped(boxes, size) if coder.clip_border else boxes
