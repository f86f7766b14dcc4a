import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import FeatureLoss


@MODELS.register_module()
class SPLoss(FeatureLoss):
    """Compare the similarities between the images of a batch, for two features.

    The similarity of two images is the inner product of their features. Each row of the matrix of
    similarities is divided by its L2 norm. The loss is the mean squared difference of the matrices
    of student and teacher, for the batch of one process. For a batch of one image it is 0.

    Numbers of channels, heights and widths may differ. No adapter is used, because it would learn
    instead of the student.

    Source: SP (Tung & Mori, ICCV 2019, arXiv 1907.09682), equations 1 to 3. The usual weight is
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
        """Compute similarities (N, N), with rows of L2 norm 1, of a feature (N, C, H, W)."""
        images = feature.flatten(1)
        return F.normalize(images @ images.t())
