"""What a classifier makes of a few images: the trial of a teacher."""

from __future__ import annotations

from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from ..distillers.detector_trial import TeacherScore


def try_classifier(model: BaseModel, images: DataLoader) -> TeacherScore | None:
    """Top-1 accuracy of a classifier; the score is 0 for guessing and 1 for all right.

    Args:
        model: The classifier.
        images: Batches of one.

    Returns:
        None where the images have no labels.
    """
    samples = [model.test_step(batch)[0] for batch in images]
    right = [
        bool((sample.pred_label == sample.gt_label).all())
        for sample in samples
        if 'gt_label' in sample
    ]
    if not right:
        return None
    top1, guessed = sum(right) / len(right), 1 / len(samples[0].pred_score)
    return TeacherScore(f'top-1 {100 * top1:.1f}', (top1 - guessed) / (1 - guessed))
