"""Trial of a teacher: score a detector on a few images."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import NamedTuple

from mmdet.evaluation import CocoMetric
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

FOUND = 0.3
"""A detector finds the objects if its AP at IoU 0.5, ignoring classes, is at least this."""


class TeacherScore(NamedTuple):
    """The result of a teacher's trial.

    Args:
        text: Its metrics as text.
        score: From 0 (it knows nothing) to 1.
        confused: True if it finds the objects, but gives them other classes than the data set.
    """

    text: str
    score: float
    confused: bool = False


def try_detector(model: BaseModel, images: DataLoader) -> TeacherScore | None:
    """Measure the COCO metrics of a detector.

    Args:
        model: The detector.
        images: Batches of one image, whose data samples have ``instances``.

    Returns:
        Its AP at IoU 0.5 as score; None if the images have no boxes. The detector is confused if
        this AP is less than half of the AP that ignores classes.
    """
    # Proposals have no class, so their AP ignores classes.
    metric = CocoMetric(metric=['bbox', 'proposal'], metric_items=['mAP', 'mAP_50'])
    metric.dataset_meta = images.dataset.metainfo
    boxes = 0
    for batch in images:
        (sample,) = model.test_step(batch)
        instances = sample.get('instances', ())
        boxes += sum(not instance.get('ignore_flag') for instance in instances)
        metric.process(batch, [sample.to_dict()])
    if not boxes:
        return None
    # Redirected, because pycocotools prints a table. `metric.evaluate` would wait for the other
    # processes, which do not run the trial.
    with redirect_stdout(io.StringIO()):
        metrics = metric.compute_metrics(metric.results)
    # There are no metrics if nothing at all was detected.
    names = ('bbox_mAP', 'bbox_mAP_50', 'mAP_50')
    ap, ap50, boxes50 = (metrics.get(name, 0.0) for name in names)
    text = f'AP {100 * ap:.1f}, AP50 {100 * ap50:.1f} ({100 * boxes50:.1f} whatever the class)'
    return TeacherScore(text, ap50, confused=boxes50 >= FOUND and boxes50 > 2 * ap50)
