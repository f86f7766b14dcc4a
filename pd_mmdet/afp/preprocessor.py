from copy import deepcopy
from fractions import Fraction
from itertools import count

from mmengine.config import ConfigDict

from ..pixel_options import BATCH_AUGMENTS, BOXINST, scale_options, type_name

DIVISORS = dict(
    BatchSyncRandomResize=('size_divisor', 32),
    BatchResize=('pad_size_divisor', 1),
)
"""Of batch augmentations: the option of which they make the sides multiples, and its default."""


def rescale_preprocessor(model_cfg: dict, ratio: Fraction) -> ConfigDict:
    """The config of the same detector, padding and resizing batches of large images.

    Args:
        model_cfg: Config of a detector on the small image. Not changed.
        ratio: Side length of the large image over the small one.

    Returns:
        A config whose data preprocessor pads so that the small image would be padded as the
        detector wants it, resizes batches to ``ratio`` × the sizes, and (BoxInst's) makes its
        maps of the large image in the size of the small one's.

    Raises:
        ValueError: If BoxInst's maps of the large image cannot have that size.
    """
    cfg = ConfigDict(deepcopy(model_cfg))
    preprocessor = cfg.get('data_preprocessor')
    if preprocessor:
        divisor = preprocessor.get('pad_size_divisor', 1)
        preprocessor.pad_size_divisor = large_divisor(divisor, ratio)
        if 'mask' in str(model_cfg):
            # Images that were whole multiples as they are may be padded now: their masks with them.
            preprocessor.update(pad_mask=True, pad_seg=True)
        for augment in preprocessor.get('batch_augments') or ():
            _rescale_augment(augment, ratio)
        if type_name(preprocessor) == 'BoxInstDataPreprocessor':
            _rescale_boxinst(preprocessor, ratio)
    return cfg


def large_divisor(divisor: int, ratio: Fraction) -> int:
    """Find the smallest multiple of ``divisor`` that is ``ratio`` × another multiple.

    Padded to it, the large image and the small one are as the detector wants its images.
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
            f"ratio {ratio}: BoxInst's preprocessor cannot average the image over "
            f'{stride} pixels; take a ratio that makes mask_stride × ratio whole, such as 2 or 3/2'
        )
    preprocessor.update(scale_options(preprocessor, BOXINST, ratio))
