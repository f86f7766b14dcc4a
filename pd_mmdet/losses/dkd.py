import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .base import LogitLoss


@MODELS.register_module()
class DKDLoss(LogitLoss):
    """Compare the probabilities of two classifiers, separately for the labelled class and the rest.

    The loss is (alpha * TCKD + beta * NCKD) * T^2, averaged over images. Both are
    KL(teacher || student) of probabilities at temperature T: TCKD of the labelled class against
    all other classes together, NCKD of the other classes among themselves. With alpha = 1 and
    beta = 1 - p, where p is the teacher's probability of the labelled class, it would be equal to
    :class:`KDLoss`.

    The loss has a linear warm-up: in iteration i it is multiplied by i / warmup, up to 1. It counts
    the calls in training mode as iterations. The count ``step`` is in the state dict, so a resumed
    training continues with it; it is the same in all processes. Outside training mode the count
    does not change.

    Source: DKD (Zhao et al., CVPR 2022, arXiv 2203.08679), equation 7. The warm-up is that of the
    authors' code, which counts epochs.

    Args:
        alpha (float): Weight of TCKD, 0 or more.
        beta (float): Weight of NCKD, 0 or more.
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
                raise ValueError(f'DKDLoss: {name}={weight!r} must be 0 or more')
        if not T > 0:
            raise ValueError(f'DKDLoss: T={T!r} must be above 0')
        if not isinstance(warmup, int) or warmup < 0:
            raise ValueError(
                f'DKDLoss: warmup={warmup!r} must be a whole number of iterations, 0 or more'
            )
        self.alpha, self.beta, self.T, self.warmup = alpha, beta, T, warmup
        self.register_buffer('step', torch.tensor(0))

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Compare the logits.

        Args:
            student (Tensor): Logits of shape (N, C), with 2 or more classes C.
            teacher (Tensor): Logits of the same shape; gets no gradient.
            labels (Tensor): Index of the labelled class, shape (N,), int64.

        Returns:
            Tensor: Scalar, at least 0.
        """
        pairs = zip(self._decouple(student, labels), self._decouple(teacher.detach(), labels))
        tckd, nckd = (F.kl_div(*pair, reduction='batchmean', log_target=True) for pair in pairs)
        return (self.alpha * tckd + self.beta * nckd) * self.T**2 * self._warmup_factor()

    def _decouple(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the log-probabilities of TCKD and of NCKD.

        Args:
            logits: (N, C).
            labels: (N,), index of the labelled class.

        Returns:
            (N, 2) for the labelled class and all others together; (N, C - 1) for the other classes
            among themselves.
        """
        logits, labels = logits / self.T, labels[:, None]
        index = torch.arange(logits.shape[1] - 1, device=logits.device).expand(len(logits), -1)
        rest = logits.gather(1, index + (index >= labels))
        labelled_or_not = torch.cat([logits.gather(1, labels), rest.logsumexp(1, keepdim=True)], 1)
        return labelled_or_not.log_softmax(1), rest.log_softmax(1)

    def _warmup_factor(self) -> Tensor | float:
        if self.training:
            self.step += 1
        return (self.step / self.warmup).clamp(max=1) if self.warmup else 1.0
