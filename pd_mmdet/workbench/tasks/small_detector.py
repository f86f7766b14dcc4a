"""What changes in a model's config when its images become small."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from numbers import Real
from typing import Any

from mmdet.registry import TASK_UTILS

from ..recipes.write import Code, Remark

SIZES = ('random_size_range', 'scale', 'size')
"""Options of batch augmentations that are pixels of the image; multiples (``size_divisor``) are
what the network's strides ask for, and stay."""

STRIDE = 32
"""Coarsest stride at which the necks of the zoo join levels: whole cells need whole multiples."""

UNKNOWN_ANCHORS = 'but which option makes these anchors smaller is not known: set it here.'

UNFROZEN = dict(EfficientNet=0)
"""What ``frozen_stages`` is where nothing is frozen, in backbones where that is not -1."""


def small_detector(model: dict, ratio: Fraction) -> dict[str, Any]:
    """What a child config says of a detector, to be merged into the given one.

    The backbone is unfrozen, batches are padded to whole strides and resized within smaller sizes,
    and anchors shrink with the objects. Points and whatever else follows from strides stays.

    Args:
        model: The detector's config for the large image. Not changed.
        ratio: Side of the large image over the small one.
    """
    changes: dict[str, Any] = {}
    preprocessor = _small_batches(model.get('data_preprocessor') or {}, ratio)
    if 'pad_size_divisor' in preprocessor and 'mask' in str(model):
        preprocessor['pad_mask'] = True
    if preprocessor:
        changes['data_preprocessor'] = preprocessor
    backbone = unfrozen(model.get('backbone', {}))
    if backbone:
        changes['backbone'] = backbone
    for name in ('rpn_head', 'bbox_head'):
        anchors = _small_anchors(model.get(name), ratio)
        if anchors:
            said = 'and so are their anchors.' if all(anchors.values()) else UNKNOWN_ANCHORS
            remark = Remark(f'Objects are {ratio} times as small, {said}')
            known = {key: sizes for key, sizes in anchors.items() if sizes}
            changes[name] = dict(remark=remark, **known)
    return changes


def unfrozen(backbone: dict) -> dict[str, Any]:
    """What makes a backbone train all of its stages, if it does not."""
    none = UNFROZEN.get(backbone.get('type'), -1)
    if backbone.get('frozen_stages', none) <= none:
        return {}
    remark = Remark('Nothing is frozen: small images look different, and ISRD trains the stem.')
    return dict(remark=remark, frozen_stages=none)


def _small_batches(preprocessor: dict, ratio: Fraction) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if preprocessor and preprocessor.get('pad_size_divisor', 1) == 1:
        changes['remark'] = Remark(f'The given size over {ratio} may not be whole strides.')
        changes['pad_size_divisor'] = STRIDE
    augments = preprocessor.get('batch_augments') or []
    small = [_small_augment(augment, ratio) for augment in augments]
    if small != augments:
        changes['other_remark'] = Remark(f'Sizes of the small image: the given ones over {ratio}.')
        changes['batch_augments'] = small
    return changes


def _small_augment(augment: dict, ratio: Fraction) -> dict:
    sizes = {key: divided(augment[key], ratio, round) for key in SIZES if key in augment}
    return {**augment, **sizes}


def _small_anchors(head: Any, ratio: Fraction) -> dict[str, Any]:
    """For each anchor generator of a head (some have several) its smaller sizes or scales."""
    return {
        name: {key: divided(size, ratio, _exact) for key, size in _anchor_sizes(generator).items()}
        for name, generator in (head.items() if isinstance(head, dict) else ())
        if name.endswith('anchor_generator') and 'Anchor' in generator['type']  # or it has points
    }


def _anchor_sizes(generator: dict) -> dict[str, Any]:
    """Options of an anchor generator to which its anchors' sizes are proportional, if any."""
    if generator['type'].rpartition('.')[2] == 'SSDAnchorGenerator':
        return _ssd_sizes(generator)
    if generator.get('base_sizes'):
        return dict(base_sizes=generator['base_sizes'])
    keys = ('octave_base_scale', 'scales')
    return {key: generator[key] for key in keys if generator.get(key)}


def _ssd_sizes(generator: dict) -> dict[str, list]:
    """Smallest and largest size of each level, which SSD else computes for 300 and 512 pixels."""
    keys = ('min_sizes', 'max_sizes')
    if all(generator.get(key) for key in keys):
        return {key: generator[key] for key in keys}
    built = TASK_UTILS.build(copy.deepcopy(generator))
    # The second anchor of a level is as large as the geometric mean of both.
    largest = [
        round(size * float(scales[1]) ** 2) for size, scales in zip(built.base_sizes, built.scales)
    ]
    return dict(min_sizes=built.base_sizes, max_sizes=largest)


def divided(value: Any, ratio: Fraction, rounded: Callable[[Any], Any]) -> Any:
    """A size of the large image, or several, over the ratio; what is no number stays."""
    if isinstance(value, (list, tuple)):
        return type(value)(divided(item, ratio, rounded) for item in value)
    return rounded(value / ratio) if isinstance(value, Real) else value


def _exact(value: Fraction | float) -> int | float | Code:
    """A whole number, or the quotient as it is computed when the config is read."""
    if not isinstance(value, Fraction):
        return value
    if value.denominator == 1:
        return int(value)
    return Code(f'{value.numerator} / {value.denominator}')
