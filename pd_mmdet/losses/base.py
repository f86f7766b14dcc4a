"""Base classes of distillation losses: one for each kind of output that is compared.

Derive a loss from the class of its kind, register it in ``MODELS``, and name it in a term. The term
that builds it reads the attributes here and calls the checks before training starts.
"""

from __future__ import annotations

from torch import nn


class DistillationLoss(nn.Module):
    """A loss between a student and a teacher. Derive from one of the kinds below.

    Attributes:
        compares (str): What the loss compares, for messages.
    """

    compares = ''


class FeatureLoss(DistillationLoss):
    """A loss that compares two feature maps.

    ``forward(student, teacher)`` takes maps (N, C, H, W), float32, and returns a scalar; the
    teacher's map gets no gradient. A loss that is not of this package (``MSELoss``) is treated as
    one with the defaults.

    Attributes:
        same_channels (bool): The maps must have equal numbers of channels; a term puts a 1×1
            convolution after the student's map where they differ. False: the loss compares any.
        same_cells (bool): The maps must have equal heights and widths; a term compares levels of
            equal stride. False: the loss compares two single maps of any sizes.
    """

    compares = 'feature maps'
    same_channels = True
    same_cells = True


class DenseHeadLoss(DistillationLoss):
    """A loss that compares the outputs of two dense heads, prior by prior.

    ``forward(student, teacher)`` takes two :class:`~pd_mmdet.losses.readers.DenseHeadOutput` of
    levels with the same priors in the same order, and returns a scalar.
    """

    compares = 'outputs of dense heads'

    def check_head(self, head: nn.Module) -> None:
        """Refuse a head whose outputs the loss cannot read.

        Raises:
            TypeError: Names the head and what is missing; see :func:`refuse`.
        """

    def check_pair(self, student: nn.Module, teacher: nn.Module) -> None:
        """Refuse two heads whose outputs cannot be compared with each other.

        Raises:
            TypeError: Names what differs.
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
            TypeError: Names the head and what is missing; see :func:`refuse`.
            ValueError: Names the option that differs.
        """


class LogitLoss(DistillationLoss):
    """A loss that compares the logits of two classifiers.

    ``forward(student, teacher)`` takes logits (N, classes), float32, and returns a scalar. A loss
    that is not of this package is treated as one with the defaults.

    Attributes:
        with_labels (bool): ``forward`` takes the labels (N,), int64, as a third argument.
    """

    compares = 'logits of classifiers'
    with_labels = False


def refuse(loss: nn.Module, head: nn.Module, needs: str) -> None:
    """Raise a TypeError that says what a loss needs and a head does not have."""
    raise TypeError(f'{type(loss).__name__} cannot serve {type(head).__name__}: needs {needs}.')
