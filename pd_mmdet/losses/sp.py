import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import FeatureLoss


@MODELS.register_module()
class SPLoss(FeatureLoss):
    """Distance of two features in which images of a batch they find alike.

    The similarity of two images is the inner product of their features; each row of the matrix of
    similarities is brought to unit length. The loss is the mean squared difference of two such
    matrices, those of the batch of one process: a batch of one image teaches nothing.

    Channels, heights and widths may all differ. No adapter is needed; one would learn in the
    student's place.

    Source: SP (Tung & Mori, ICCV 2019, arXiv 1907.09682), equations 1 to 3; the usual weight is
    3000.
    """

    same_channels = False
    same_cells = False

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare one level.

        Args:
            student (Tensor): Feature of shape (N, C, H, W).
            teacher (Tensor): Feature of shape (N, C', H', W'); gets no gradient.

        Returns:
            Tensor: Scalar in [0, 4 / N].
        """
        return F.mse_loss(self._similarity(student), self._similarity(teacher.detach()))

    def _similarity(self, feature: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, N), each row of unit length."""
        images = feature.flatten(1)
        return F.normalize(images @ images.t())
