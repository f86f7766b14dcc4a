from copy import deepcopy
from fractions import Fraction
from itertools import count

from mmengine.config import ConfigDict

from ..pixel_options import BATCH_AUGMENTS, BOXINST, scale_options, type_name

DIVISORS = dict(
    BatchSyncRandomResize=('size_divisor', 32),
    BatchResize=('pad_size_divisor', 1),
)
"""Type of a batch augmentation -> its option for the divisor of the sides, and the default."""


def rescale_preprocessor(model_cfg: dict, ratio: Fraction) -> ConfigDict:
    """Convert the data preprocessor of a detector from small images to large images.

    Args:
        model_cfg: Config of a detector that reads the small image. Not changed.
        ratio: Side length of the large image over the small one.

    Returns:
        The config with another data preprocessor. It pads so that both the large image and the
        small one are padded as the detector needs. Batch augmentations resize to ``ratio`` × their
        sizes. BoxInst's maps of the large image have the size of those of the small image.

    Raises:
        ValueError: BoxInst's maps of the large image cannot have that size.
    """
    cfg = ConfigDict(deepcopy(model_cfg))
    if 'detector' in cfg:  # of a SubCellDetector
        cfg.detector = rescale_preprocessor(cfg.detector, ratio)
    preprocessor = cfg.get('data_preprocessor')
    if preprocessor:
        divisor = preprocessor.get('pad_size_divisor', 1)
        preprocessor.pad_size_divisor = large_divisor(divisor, ratio)
        if 'mask' in str(model_cfg):
            # Images that needed no padding before may need it now; then their masks do, too.
            preprocessor.update(pad_mask=True, pad_seg=True)
        for augment in preprocessor.get('batch_augments') or ():
            _rescale_augment(augment, ratio)
        if type_name(preprocessor) == 'BoxInstDataPreprocessor':
            _rescale_boxinst(preprocessor, ratio)
    return cfg


def large_divisor(divisor: int, ratio: Fraction) -> int:
    """Find the smallest multiple of ``divisor`` that is ``ratio`` × another multiple of it.

    If the sides of the large image are multiples of the result, those of both images are multiples
    of ``divisor``, as the detector needs.
    """
    return next(int(d * ratio) for d in count(divisor, divisor) if d * ratio % divisor == 0)


def _rescale_augment(augment: dict, ratio: Fraction) -> None:
    augment.update(scale_options(augment, BATCH_AUGMENTS, ratio))
    if type_name(augment) in DIVISORS:
        option, default = DIVISORS[type_name(augment)]
        augment[option] = large_divisor(augment.get(option, default), ratio)


def _rescale_boxinst(preprocessor: dict, ratio: Fraction) -> None:
    stride = preprocessor.get('mask_stride', BOXINST['mask_stride'].default) * ratio
    if stride.denominator != 1:
        raise ValueError(
            f'ratio={ratio}: the data preprocessor of BoxInst averages the image over mask_stride '
            f'× ratio = {stride} pixels, which must be a whole number; take a ratio such as 2 or '
            '3/2'
        )
    preprocessor.update(scale_options(preprocessor, BOXINST, ratio))
