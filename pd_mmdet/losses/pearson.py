import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import FeatureLoss


@MODELS.register_module()
class PearsonLoss(FeatureLoss):
    """Distance of two features in the pattern of their channels, whatever their scale and offset.

    Every channel is brought to zero mean and unit variance over the batch and the map; half the
    mean squared difference is then 1 - r, with r Pearson's correlation, averaged over channels.

    Source: PKD (Cao et al., NeurIPS 2022, arXiv 2207.02039).
    """

    # Below a standard deviation of 1e-3 a channel counts as constant: its gradient stays bounded.
    variance_floor = 1e-6

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare one level.

        Args:
            student (Tensor): Feature of shape (N, C, H, W).
            teacher (Tensor): Feature of the same shape; gets no gradient.

        Returns:
            Tensor: Scalar in [0, 2].
        """
        difference = self._standardise(student) - self._standardise(teacher.detach())
        return 0.5 * difference.square().mean()

    def _standardise(self, feature: Tensor) -> Tensor:
        channels = feature.transpose(0, 1).flatten(1)  # (C, N * H * W)
        return F.layer_norm(channels, channels.shape[1:], eps=self.variance_floor)
