"""What configs of the zoo need and a CPU, the environment, or MMDetection may not have.

AFP is checked by comparing two detectors that call the same functions with the same inputs, so a
plain function of the same inputs and shapes will do.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
from mmdet.models.dense_heads import SSDHead, paa_head

from ..cpu_operators import cpu_operators


@contextmanager
def stand_ins() -> Iterator[None]:
    """Replace MMCV's operators that only a GPU has and, if they are missing, other things."""
    with ExitStack() as stack:
        stack.enter_context(cpu_operators())
        if paa_head.skm is None:
            stack.enter_context(patch.object(paa_head, 'skm', TwoHalves))
        if not hasattr(SSDHead, 'loss_cls'):  # MMDetection 3.5.1 asks for it when SSD predicts
            stack.enter_context(patch.object(SSDHead, 'loss_cls', None, create=True))
        yield


class TwoHalves:
    """In place of two Gaussians: the scores above and below their mean."""

    def GaussianMixture(*args: object, **kwargs: object) -> 'TwoHalves':  # noqa: N802
        return TwoHalves()

    def fit(self, scores: np.ndarray) -> None:
        self.mean = scores.mean()

    def predict(self, scores: np.ndarray) -> np.ndarray:
        return (scores[:, 0] > self.mean).astype(int)

    def score_samples(self, scores: np.ndarray) -> np.ndarray:
        return -abs(scores[:, 0] - self.mean)
