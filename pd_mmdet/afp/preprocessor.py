from copy import deepcopy
from fractions import Fraction
from itertools import count
from typing import Any

from mmengine.config import ConfigDict


def rescale_preprocessor(model_cfg: dict, ratio: Fraction) -> ConfigDict:
    """The config of the same detector, padding and resizing batches of large images.

    Args:
        model_cfg: Config of a detector on the small image. Not changed.
        ratio: Side length of the large image over the small one.

    Returns:
        A config whose data preprocessor pads so that the small image would be padded as the
        detector wants it.
    """
    cfg = ConfigDict(deepcopy(model_cfg))
    preprocessor = cfg.get('data_preprocessor')
    if preprocessor:
        divisor = preprocessor.get('pad_size_divisor', 1)
        preprocessor.pad_size_divisor = large_divisor(divisor, ratio)
        for augment in preprocessor.get('batch_augments') or ():
            for key in {'size', 'random_size_range', 'size_divisor', 'scale'} & augment.keys():
                augment[key] = _times(augment[key], ratio)
    return cfg


def large_divisor(divisor: int, ratio: Fraction) -> int:
    """Smallest whole ``ratio`` × multiple of ``divisor``: padding the large image to it pads the
    small one to a multiple of ``divisor``."""
    return next(int(d * ratio) for d in count(divisor, divisor) if (d * ratio).denominator == 1)


def _times(value: Any, ratio: Fraction) -> Any:
    if isinstance(value, (list, tuple)):
        return [_times(item, ratio) for item in value]
    return round(value * ratio)
