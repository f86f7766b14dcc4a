import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import FeatureLoss


@MODELS.register_module()
class ATLoss(FeatureLoss):
    """Distance of two features in where they are active, whatever their channels and scale.

    The attention map of an image is the mean of squares over channels, brought to unit length; the
    loss is the mean squared difference of two such maps, over cells and images.

    Channels may differ, heights and widths too: the attention map of the side that has more cells
    is averaged down. No adapter is needed; one would learn in the student's place.

    Source: attention transfer (Zagoruyko & Komodakis, ICLR 2017, arXiv 1612.03928), equation 2 with
    squares as the mapping; the distance is squared and averaged as in the authors' code, to which
    the usual weight of 1000 belongs.
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
        """
        height, width = map(min, student.shape[2:], teacher.shape[2:])
        size = height, width
        return F.mse_loss(self._attention(student, size), self._attention(teacher.detach(), size))

    def _attention(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, C, H, W) -> (N, cells), each row of unit length."""
        attention = feature.square().mean(1)
        # Not always: the pooling has no deterministic gradient on CUDA.
        if attention.shape[1:] != size:
            attention = F.adaptive_avg_pool2d(attention, size)
        return F.normalize(attention.flatten(1))
