import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import FeatureLoss


@MODELS.register_module()
class PearsonLoss(FeatureLoss):
    """Compare the channels of two features by Pearson's correlation.

    The correlation ignores scale and offset. Each channel is normalised to mean 0 and variance 1
    over the batch and the map. Half the mean squared difference is then 1 - r, where r is Pearson's
    correlation, averaged over channels.

    Source: PKD (Cao et al., NeurIPS 2022, arXiv 2207.02039).
    """

    # Keeps the gradient finite for a channel with a standard deviation below 1e-3.
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
