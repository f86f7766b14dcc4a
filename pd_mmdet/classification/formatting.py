"""Packing of paired results for classifiers."""

from mmpretrain.datasets.transforms import PackInputs
from mmpretrain.registry import TRANSFORMS

from ..transforms.formatting import PackPaired


@TRANSFORMS.register_module()
class PackPairedInputs(PackPaired):
    """Pack paired results as MMPretrain's ``PackInputs`` does, see :class:`PackPaired`."""

    stock = PackInputs
