"""Replace what configs of the zoo need, but a CPU or MMDetection does not have.

AFP is checked by comparing two detectors that call the same functions with the same inputs, so a
plain function with the same inputs and shapes is enough.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
from mmdet.models.dense_heads import SSDHead, paa_head

from ...cpu_operators import cpu_operators


@contextmanager
def stand_ins() -> Iterator[None]:
    """Replace operators that only a GPU has, and add what MMDetection's heads lack on noise."""
    with ExitStack() as stack:
        stack.enter_context(cpu_operators())
        if paa_head.skm:  # PAA itself reports that scikit-learn is missing
            mixture = in_double_precision(paa_head.skm.GaussianMixture)
            stack.enter_context(patch.object(paa_head.skm, 'GaussianMixture', mixture))
        if not hasattr(SSDHead, 'loss_cls'):  # MMDetection 3.5.1 reads it when SSD predicts
            stack.enter_context(patch.object(SSDHead, 'loss_cls', None, create=True))
        yield


def in_double_precision(mixture: type) -> type:
    """Let PAA's mixture of Gaussians compute in double precision.

    With the large losses of noise a component often has a single loss, whose variance may become
    negative in single precision.
    """

    class InDoublePrecision(mixture):
        def fit(self, losses: np.ndarray) -> mixture:
            return super().fit(losses.astype(np.float64))

    return InDoublePrecision
