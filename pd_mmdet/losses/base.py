"""Base classes of distillation losses: one for each kind of output that is compared.

To add a loss, derive it from the class for its kind of output, register it in ``MODELS``, and name
it in a term. The term builds the loss, reads the attributes that are defined here, and calls the
checks before training starts.
"""

from __future__ import annotations

from torch import nn


class DistillationLoss(nn.Module):
    """A loss between a student and a teacher. Derive from one of the kinds below.

    Attributes:
        compares (str): Name of the outputs that the loss compares, for messages.
    """

    compares = ''


class FeatureLoss(DistillationLoss):
    """A loss that compares two feature maps.

    ``forward(student, teacher)`` takes maps (N, C, H, W), float32, and returns a scalar; the
    teacher's map gets no gradient. A loss from another package, such as ``MSELoss``, is treated
    like a loss with the default attributes.

    Attributes:
        same_channels (bool): True: the maps must have the same number of channels. If they differ,
            the term puts a 1×1 convolution after the student's map. False: they may differ.
        same_cells (bool): True: the maps must have the same height and width, so the term compares
            levels of equal stride. False: two single maps may have different sizes.
    """

    compares = 'feature maps'
    same_channels = True
    same_cells = True


class DenseHeadLoss(DistillationLoss):
    """A loss that compares the outputs of two dense heads, prior by prior.

    ``forward(student, teacher)`` takes two :class:`~pd_mmdet.losses.readers.DenseHeadOutput` and
    returns a scalar. The levels of both have the same priors in the same order.
    """

    compares = 'outputs of dense heads'

    def check_head(self, head: nn.Module) -> None:
        """Refuse a head whose outputs the loss cannot read.

        Raises:
            TypeError: The loss cannot read the head, see :func:`refuse`.
        """

    def check_pair(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse two heads whose outputs cannot be compared with each other.

        Raises:
            TypeError: The two heads cannot be compared. The message names the option that differs.
        """


class RoIHeadLoss(DistillationLoss):
    """A loss that compares what two RoI heads predict for the same boxes.

    ``forward(head, student, teacher)`` takes the student's box head and two
    :class:`~pd_mmdet.losses.roi_head.RoIHeadOutput`, and returns a scalar.
    """

    compares = 'outputs of RoI heads'

    def check_pair(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse two box heads whose outputs cannot be read or compared.

        Raises:
            TypeError: The loss cannot read a head, see :func:`refuse`.
            ValueError: The two heads cannot be compared. The message names the option that differs.
        """


class LogitLoss(DistillationLoss):
    """A loss that compares the logits of two classifiers.

    ``forward(student, teacher)`` takes logits (N, classes), float32, and returns a scalar. A loss
    from another package is treated like a loss with the default attributes.

    Attributes:
        with_labels (bool): True: ``forward`` takes the labels (N,), int64, as a third argument.
    """

    compares = 'logits of classifiers'
    with_labels = False


def refuse(loss: nn.Module, head: nn.Module, needs: str) -> None:
    """Raise a TypeError for a loss that cannot read a head.

    Args:
        loss: The loss.
        head: The head.
        needs: What the loss needs, for the message.
    """
    raise TypeError(f'{type(loss).__name__} cannot serve {type(head).__name__}: needs {needs}.')
