"""COCO's metric of detectors that find nothing, too."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS


@METRICS.register_module()
class CocoMetricFromZero(CocoMetric):
    """MMDetection's ``CocoMetric``, of boxes, which has values where nothing at all was found.

    ``CocoMetric`` returns nothing then, as it does for what it was not asked to measure. Here a
    measure that is missing was not asked for, one of nothing found is 0, and one of objects of a
    size that none has is -1, as ever.
    """

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, Any]:
        """As in ``CocoMetric``; where nothing was found an empty box with score 0 stands for it."""
        if not any(len(found['bboxes']) for _, found in results):
            truth, found = results[0]
            nothing = dict(
                img_id=found['img_id'],
                bboxes=np.zeros((1, 4)),
                scores=np.zeros(1),
                labels=np.zeros(1, dtype=int),
            )
            results = [(truth, nothing), *results[1:]]
        return super().compute_metrics(results)
