import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import LogitLoss


@MODELS.register_module()
class KDLoss(LogitLoss):
    """Distance of two classifiers' probabilities, softened by a temperature.

    KL(teacher || student) of the softmax of logits / T, times T^2, which keeps its gradient at the
    scale of that of hard labels; averaged over images. The whole of (1 - alpha) * CE + alpha * KL *
    T^2 is not here: alpha is the weight of the term, 1 - alpha the distiller's ``student_weight``.

    Source: Hinton et al., arXiv 1503.02531, section 2.

    Args:
        T (float): Temperature, above 0.

    Raises:
        ValueError: ``T`` is not above 0.
    """

    def __init__(self, T: float = 4.0) -> None:
        super().__init__()
        if not T > 0:
            raise ValueError(f'T={T!r} of KDLoss must be above 0.')
        self.T = T

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare the logits.

        Args:
            student (Tensor): Logits of shape (N, C).
            teacher (Tensor): Logits of the same shape; gets no gradient.

        Returns:
            Tensor: Scalar, at least 0.
        """
        own, wanted = ((logits / self.T).log_softmax(1) for logits in (student, teacher.detach()))
        return F.kl_div(own, wanted, reduction='batchmean', log_target=True) * self.T**2
