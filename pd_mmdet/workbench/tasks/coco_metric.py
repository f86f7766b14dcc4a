"""COCO's metric, with values for detectors that find nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS


@METRICS.register_module()
class CocoMetricFromZero(CocoMetric):
    """Compute MMDetection's ``CocoMetric`` of boxes also where nothing at all was found.

    ``CocoMetric`` returns no values then, as for a measure that was not asked for. Here all
    measures that were asked for have a value: 0 where nothing was found, -1 where no object has
    the size.
    """

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, Any]:
        """Compute the metrics; if nothing was found, add an empty box with score 0."""
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
