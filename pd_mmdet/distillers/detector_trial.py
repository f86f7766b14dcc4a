"""What a detector finds in a few images: the trial of a teacher."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import NamedTuple

from mmdet.evaluation import CocoMetric
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

FOUND = 0.3
"""AP at IoU 0.5, whatever the class, from which on a detector finds the objects."""


class TeacherScore(NamedTuple):
    """How a teacher does.

    Args:
        text: Its metrics, to be read.
        score: From 0, where it knows nothing, to 1.
        confused: Whether it finds the objects, but calls them otherwise than the data do.
    """

    text: str
    score: float
    confused: bool = False


def try_detector(model: BaseModel, images: DataLoader) -> TeacherScore | None:
    """COCO metrics of a detector; the score is AP at IoU 0.5.

    It is confused where that is less than half of what it is with all classes as one.

    Args:
        model: The detector.
        images: Batches of one, whose data samples carry the instances.

    Returns:
        None where the images have no boxes.
    """
    # A proposal has no class, so its AP is that of boxes whatever their class.
    metric = CocoMetric(metric=['bbox', 'proposal'], metric_items=['mAP', 'mAP_50'])
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
    names = ('bbox_mAP', 'bbox_mAP_50', 'mAP_50')
    ap, ap50, boxes50 = (metrics.get(name, 0.0) for name in names)
    text = f'AP {100 * ap:.1f}, AP50 {100 * ap50:.1f} ({100 * boxes50:.1f} whatever the class)'
    return TeacherScore(text, ap50, confused=boxes50 >= FOUND and boxes50 > 2 * ap50)
