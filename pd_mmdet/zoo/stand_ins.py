"""What configs of the zoo need and a CPU, or MMDetection, does not have.

AFP is checked by comparing two detectors that call the same functions with the same inputs, so a
plain function of the same inputs and shapes will do.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from unittest.mock import patch

from mmdet.models.dense_heads import SSDHead

from ..cpu_operators import cpu_operators


@contextmanager
def stand_ins() -> Iterator[None]:
    """Replace operators that only a GPU has, and add what MMDetection's own heads lack."""
    # MMDetection 3.5.1 asks for it when SSD predicts.
    missing = not hasattr(SSDHead, 'loss_cls')
    with cpu_operators():
        with patch.object(SSDHead, 'loss_cls', None, create=True) if missing else nullcontext():
            yield
