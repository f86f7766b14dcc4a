import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import FeatureLoss


@MODELS.register_module()
class ICKDLoss(FeatureLoss):
    """Distance of two features in which of their channels are alike, image by image.

    The correlation of two channels is the inner product of their maps; each row of the matrix of
    correlations is brought to unit length. The loss is the squared distance between the rows of
    student and teacher, averaged over channels and images.

    Heights and widths may differ, channels may not: a 1x1 convolution brings the student's to the
    teacher's. The matrices take N * C^2 numbers: 1 GB for 64 images and 2048 channels.

    Source: ICKD (Liu et al., ICCV 2021, arXiv 2202.03680), the loss on inter-channel correlation
    matrices; rows are normalised, and averaged instead of divided by C^2, as in the authors' code
    for CIFAR-100, to which the usual weight of 2.5 belongs.
    """

    same_cells = False

    # A channel with a root mean square below 1e-3 counts as silent: its gradient stays bounded.
    square_floor = 1e-6

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare one level.

        Args:
            student (Tensor): Feature of shape (N, C, H, W).
            teacher (Tensor): Feature of shape (N, C, H', W'); gets no gradient.

        Returns:
            Tensor: Scalar in [0, 4].
        """
        difference = self._correlation(student) - self._correlation(teacher.detach())
        return difference.square().sum(2).mean()

    def _correlation(self, feature: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, C), each row of unit length."""
        channels = feature.flatten(2)
        correlation = channels @ channels.transpose(1, 2) / channels.shape[2]
        return F.normalize(correlation, dim=2, eps=self.square_floor)
