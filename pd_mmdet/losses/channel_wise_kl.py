import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import FeatureLoss


@MODELS.register_module()
class ChannelWiseKLLoss(FeatureLoss):
    """Distance of two features in where each channel has its mass.

    A softmax over the map turns every channel into a distribution over positions; the loss is
    KL(teacher || student) * tau^2, averaged over images and channels.

    Source: CWD (Shu et al., ICCV 2021, arXiv 2011.13256).

    Args:
        tau (float): Temperature of the softmax, above 0. A larger one looks at wider regions.

    Raises:
        ValueError: ``tau`` is not above 0.
    """

    def __init__(self, tau: float = 1.0) -> None:
        super().__init__()
        if not tau > 0:
            raise ValueError(f'tau={tau!r} of ChannelWiseKLLoss must be above 0.')
        self.tau = tau

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare one level.

        Args:
            student (Tensor): Feature of shape (N, C, H, W).
            teacher (Tensor): Feature of the same shape; gets no gradient.

        Returns:
            Tensor: Scalar, at least 0.
        """
        divergence = F.kl_div(
            self._log_distribution(student),
            self._log_distribution(teacher.detach()),
            reduction='batchmean',
            log_target=True,
        )
        return divergence * self.tau**2

    def _log_distribution(self, feature: Tensor) -> Tensor:
        positions = feature.flatten(2).flatten(0, 1)  # (N * C, H * W)
        return (positions / self.tau).log_softmax(dim=1)
