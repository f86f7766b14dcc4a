import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import FeatureLoss


@MODELS.register_module()
class ATLoss(FeatureLoss):
    """Compare the attention maps of two features: at which cells they are active.

    The attention map of an image is the mean over channels of the squared feature, divided by its
    L2 norm. The loss is the mean squared difference of two such maps, over cells and images.

    Numbers of channels, heights and widths may differ: the attention map with more cells is
    averaged down. No adapter is used, because it would learn instead of the student.

    Source: attention transfer (Zagoruyko & Komodakis, ICLR 2017, arXiv 1612.03928), equation 2 with
    squares as the mapping. The distance is squared and averaged as in the authors' code; the usual
    weight of 1000 belongs to this form.
    """

    same_channels = False
    same_cells = False

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare one level.

        Args:
            student (Tensor): Feature of shape (N, C, H, W).
            teacher (Tensor): Feature of shape (N, C', H', W'); gets no gradient.

        Returns:
            Tensor: Scalar in [0, 2 / cells].

        Raises:
            ValueError: One of the maps has one cell, so that the loss is always 0.
        """
        height, width = map(min, student.shape[2:], teacher.shape[2:])
        size = height, width
        if size == (1, 1):
            raise ValueError(
                'ATLoss compares where maps are active, but student and teacher have '
                f'{_cells(student)} and {_cells(teacher)} cells here, and with one cell '
                'the loss is always 0: tap earlier modules, with 2x2 cells or more'
            )
        return F.mse_loss(self._attention(student, size), self._attention(teacher.detach(), size))

    def _attention(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Compute attention maps (N, cells), each of L2 norm 1, of a feature (N, C, H, W)."""
        attention = feature.square().mean(1)
        # Only if needed, because this pooling has no deterministic gradient on CUDA.
        if attention.shape[1:] != size:
            attention = F.adaptive_avg_pool2d(attention, size)
        return F.normalize(attention.flatten(1))


def _cells(feature: Tensor) -> str:
    """Return the size of a feature for a message: height, then width."""
    return 'x'.join(map(str, feature.shape[2:]))
