"""A student with all that surrounds it, as one module: from a camera's bytes to boxes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .dense import DenseDecoder
from .preprocess import Preprocess
from .suppress import Detections, suppress
from .two_stage import Proposals, RoIDecoder


class DetectorNetwork(nn.Module):
    """Detect objects in small images.

    Args:
        model: A detector that :func:`.served.check_detector` lets pass, in eval.
        preprocess: What prepares the images.
    """

    names = ('boxes', 'scores', 'labels', 'counts')

    def __init__(self, model: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.features = nn.ModuleList([model.backbone, *[model.neck] * model.with_neck])
        if getattr(model, 'with_rpn', False):
            self.proposals = Proposals(model.rpn_head, model.test_cfg.rpn)
            self.decoder = RoIDecoder(model.roi_head)
            self.cfg = model.test_cfg.rcnn
        else:
            self.proposals = None
            self.decoder = DenseDecoder(model.bbox_head, model.test_cfg)
            self.cfg = model.test_cfg

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            image: (N, H, W, C), uint8, as a camera gives it.

        Returns:
            ``boxes`` (N, M, 4), x1 y1 x2 y2 in pixels of ``image``; ``scores`` (N, M), the best
            first, 0 behind the last detection; ``labels`` (N, M), int64; ``counts`` (N,), int64:
            how many there are.
        """
        height, width = (self.preprocess.enlarged(side) for side in image.shape[1:3])
        feats = self.preprocess(image)
        for part in self.features:
            feats = part(feats)
        found = self._suppressed(self._candidates(feats, (height, width)))
        there = found.scores >= 0
        boxes = torch.where(there[..., None], found.boxes, 0) / float(self.preprocess.enlarge)
        scores = found.scores.clamp(min=0)
        return boxes, scores, torch.where(there, found.labels, 0), there.sum(1)

    def _candidates(self, feats: tuple[Tensor, ...], size: tuple[int, int]) -> Detections:
        if self.proposals is None:
            return self.decoder(feats, size)[0]
        return self.decoder(feats, self.proposals(feats, size), size)

    def _suppressed(self, found: Detections) -> Detections:
        # YOLOX's predict has no limit.
        number = self.cfg.get('max_per_img', found.scores.shape[1])
        return suppress(found, found.labels, self.cfg.nms.iou_threshold, number)


class ClassifierNetwork(nn.Module):
    """Classify small images.

    Args:
        model: A classifier that :func:`.served.check_classifier` lets pass, in eval.
        preprocess: What prepares the images.
    """

    names = ('scores',)

    def __init__(self, model: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """Return the probabilities (N, classes) of images (N, H, W, C), uint8."""
        logits = self.model.head(self.model.extract_feat(self.preprocess(image)))
        return logits.softmax(1)
