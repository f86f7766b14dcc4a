import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import LogitLoss


@MODELS.register_module()
class DKDLoss(LogitLoss):
    """Distance of two classifiers' probabilities, the labelled class apart from the others.

    alpha * TCKD + beta * NCKD, times T^2, averaged over images. TCKD is KL(teacher || student)
    between the labelled class and all others together, NCKD that among the others. With
    beta = 1 - p, p the teacher's probability of the labelled class, and alpha = 1 it would be
    :class:`KDLoss`.

    The loss warms up linearly: it is scaled by i / warmup in the i-th of its first iterations. It
    counts them itself, one for each call in training mode; the count ``step`` is in the state dict,
    so that a resumed training goes on where it was, and the same in all processes. Outside of
    training mode the scale stays as it is.

    Source: DKD (Zhao et al., CVPR 2022, arXiv 2203.08679), equation 7; the warm-up is that of the
    authors' code, which counts epochs.

    Args:
        alpha (float): Weight of TCKD, at least 0.
        beta (float): Weight of NCKD, at least 0.
        T (float): Temperature, above 0.
        warmup (int): Iterations of the warm-up, 0 for none.

    Raises:
        ValueError: An option is out of its range.
    """

    with_labels = True
    step: Tensor

    def __init__(
        self, alpha: float = 1.0, beta: float = 8.0, T: float = 4.0, warmup: int = 0
    ) -> None:
        super().__init__()
        for name, weight in (('alpha', alpha), ('beta', beta)):
            if not weight >= 0:
                raise ValueError(f'{name}={weight!r} of DKDLoss must be at least 0.')
        if not T > 0:
            raise ValueError(f'T={T!r} of DKDLoss must be above 0.')
        if not isinstance(warmup, int) or warmup < 0:
            raise ValueError(
                f'warmup={warmup!r} of DKDLoss must be a number of iterations, 0 for none.'
            )
        self.alpha, self.beta, self.T, self.warmup = alpha, beta, T, warmup
        self.register_buffer('step', torch.tensor(0))

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Compare the logits.

        Args:
            student (Tensor): Logits of shape (N, C), C at least 2.
            teacher (Tensor): Logits of the same shape; gets no gradient.
            labels (Tensor): Index of the labelled class, shape (N,), int64.

        Returns:
            Tensor: Scalar, at least 0.
        """
        own, wanted = self._decouple(student, labels), self._decouple(teacher.detach(), labels)
        tckd, nckd = (
            F.kl_div(*pair, reduction='batchmean', log_target=True) for pair in zip(own, wanted)
        )
        return (self.alpha * tckd + self.beta * nckd) * self.T**2 * self._warmth()

    def _decouple(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities (N, 2), labelled class or not, and (N, C - 1) among the others."""
        logits, labels = logits / self.T, labels[:, None]
        others = torch.arange(logits.shape[1] - 1, device=logits.device).expand(len(logits), -1)
        among_others = logits.gather(1, others + (others >= labels))
        labelled_or_not = torch.cat(
            [logits.gather(1, labels), among_others.logsumexp(1, keepdim=True)], 1
        )
        return labelled_or_not.log_softmax(1), among_others.log_softmax(1)

    def _warmth(self) -> Tensor | float:
        if self.training:
            self.step += 1
        return (self.step / self.warmup).clamp(max=1) if self.warmup else 1.0
