import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import LogitLoss


@MODELS.register_module()
class KDLoss(LogitLoss):
    """Compare the probabilities of two classifiers at a temperature.

    The loss is KL(teacher || student) of softmax(logits / T), averaged over images, times T^2. The
    factor T^2 keeps its gradient as large as that of hard labels. For the usual total loss
    (1 - alpha) * CE + alpha * KL * T^2, set the weight of the term to alpha, and the distiller's
    ``student_weight`` to 1 - alpha.

    Source: Hinton et al., arXiv 1503.02531, section 2.

    Args:
        T (float): Temperature, above 0.

    Raises:
        ValueError: ``T`` is not above 0.
    """

    def __init__(self, T: float = 4.0) -> None:
        super().__init__()
        if not T > 0:
            raise ValueError(f'KDLoss: T={T!r} must be above 0')
        self.T = T

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compare the logits.

        Args:
            student (Tensor): Logits of shape (N, C).
            teacher (Tensor): Logits of the same shape; gets no gradient.

        Returns:
            Tensor: Scalar, at least 0.
        """
        pred, target = ((logits / self.T).log_softmax(1) for logits in (student, teacher.detach()))
        return F.kl_div(pred, target, reduction='batchmean', log_target=True) * self.T**2
