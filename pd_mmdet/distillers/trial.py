"""What a detector finds in a few images: the trial of a teacher."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import NamedTuple

from mmdet.evaluation import CocoMetric
from mmengine.model import BaseModel
from torch.utils.data import DataLoader


class Trial(NamedTuple):
    """How a teacher does.

    Args:
        text: Its metrics, to be read.
        score: From 0, where it knows nothing, to 1.
    """

    text: str
    score: float


def try_detector(model: BaseModel, images: DataLoader) -> Trial | None:
    """COCO metrics of a detector; the score is AP at IoU 0.5.

    Args:
        model: The detector.
        images: Batches of one, whose data samples carry the instances.

    Returns:
        None where the images have no boxes.
    """
    metric = CocoMetric()
    metric.dataset_meta = images.dataset.metainfo
    boxes = 0
    for batch in images:
        (sample,) = model.test_step(batch)
        boxes += sum(not one.get('ignore_flag') for one in sample.get('instances', ()))
        metric.process(batch, [sample.to_dict()])
    if not boxes:
        return None
    # Without the table that pycocotools prints. `metric.evaluate` would wait for the other
    # processes, which do not try the teacher.
    with redirect_stdout(io.StringIO()):
        metrics = metric.compute_metrics(metric.results)
    # There are none where nothing at all was detected.
    ap, ap50 = (metrics.get(name, 0.0) for name in ('bbox_mAP', 'bbox_mAP_50'))
    return Trial(f'AP {100 * ap:.1f}, AP50 {100 * ap50:.1f}', ap50)
