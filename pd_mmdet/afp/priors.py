import inspect
from copy import deepcopy
from fractions import Fraction
from itertools import count
from typing import Any

from mmdet.models.task_modules import AnchorGenerator
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import ConfigDict
from mmengine.registry import Registry

ANCHOR_HEADS = (
    'RetinaHead',
    'RetinaSepBNHead',
    'FreeAnchorRetinaHead',
    'ATSSHead',
    'GFLHead',
    'PAAHead',
)
"""Anchor heads of one-stage detectors that compute in strides, not in pixels of their own."""


def rescale_priors(model_cfg: dict, ratio: Fraction) -> ConfigDict:
    """The config of the same detector for an image ``ratio`` times as large in pixels.

    Everything that is a length in pixels is multiplied: strides, base sizes and centres of the
    priors, what batches are padded and resized to, the assigner's border. Not `min_bbox_size`:
    a dense head compares it with boxes in the coordinates of the file.

    Args:
        model_cfg: Config of a one-stage detector with an anchor head. Not changed.
        ratio: Side length of the large image over the small one.

    Raises:
        NotImplementedError: If the detector's head cannot be aligned by these rules.
    """
    cfg = ConfigDict(deepcopy(model_cfg))
    head = cfg.get('bbox_head')
    if 'roi_head' in cfg or not isinstance(head, dict):
        raise NotImplementedError(
            f'AFP of {cfg.get("type")!r}: only one-stage detectors with a `bbox_head` are aligned'
        )
    _rescale_anchor_head(head, ratio)
    _multiply(cfg.get('train_cfg'), ('allowed_border',), ratio)
    if cfg.get('data_preprocessor'):
        _rescale_preprocessor(cfg.data_preprocessor, ratio)
    return cfg


def large_divisor(divisor: int, ratio: Fraction) -> int:
    """Smallest whole ``ratio`` × multiple of ``divisor``: padding the large image to it pads the
    small one to a multiple of ``divisor``."""
    return next(int(d * ratio) for d in count(divisor, divisor) if (d * ratio).denominator == 1)


def _rescale_preprocessor(preprocessor: ConfigDict, ratio: Fraction) -> None:
    divisor = preprocessor.get('pad_size_divisor', 1)
    preprocessor.pad_size_divisor = large_divisor(divisor, ratio)
    for augment in preprocessor.get('batch_augments') or ():
        _multiply(augment, ('size', 'random_size_range', 'size_divisor'), ratio)


def _rescale_anchor_head(head: ConfigDict, ratio: Fraction) -> None:
    head_cls = _class(MODELS, head.type)
    if head_cls is None or head_cls.__name__ not in ANCHOR_HEADS:
        raise NotImplementedError(
            f'AFP of bbox_head.type={head.type!r}: not known to be aligned by multiplying its '
            f'priors; aligned are {", ".join(ANCHOR_HEADS)}'
        )
    head.setdefault('anchor_generator', ConfigDict(_default(head_cls, 'anchor_generator')))
    generator = head.anchor_generator
    if _class(TASK_UTILS, generator.type) is not AnchorGenerator:
        raise NotImplementedError(
            f'AFP of anchor_generator.type={generator.type!r}: only AnchorGenerator is aligned'
        )
    _multiply(generator, ('strides', 'base_sizes', 'centers'), ratio)
    coder = head.get('bbox_coder')
    if coder and coder.get('add_ctr_clamp'):
        coder.setdefault('ctr_clamp', _default(_class(TASK_UTILS, coder.type), 'ctr_clamp'))
        _multiply(coder, ('ctr_clamp',), ratio)


def _class(registry: Registry, cls: str | type) -> type | None:
    return registry.get(cls) if isinstance(cls, str) else cls


def _default(cls: type, argument: str) -> Any:
    for base in inspect.getmro(cls):
        parameter = inspect.signature(base.__init__).parameters.get(argument)
        if parameter is not None:
            return deepcopy(parameter.default)
    raise TypeError(f'{cls.__name__} takes no `{argument}`')


def _multiply(cfg: dict | None, keys: tuple[str, ...], ratio: Fraction) -> None:
    for key in keys:
        # A negative length means "none" (allowed_border=-1).
        if cfg and cfg.get(key) is not None and cfg[key] != -1:
            cfg[key] = _times(cfg[key], ratio)


def _times(value: Any, ratio: Fraction) -> Any:
    if isinstance(value, (list, tuple)):
        return [_times(item, ratio) for item in value]
    scaled = value * ratio
    if isinstance(scaled, Fraction) and scaled.denominator == 1:
        return int(scaled)
    return float(scaled)
