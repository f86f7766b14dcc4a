"""Change a detector's config for small images."""

from __future__ import annotations

import copy
from fractions import Fraction
from numbers import Real
from typing import Any

from mmdet.registry import TASK_UTILS

from ...pixel_options import BATCH_AUGMENTS, scale_length, scale_options
from ..config_text import Code, Remark

STRIDE = 32
"""Coarsest stride at which necks of MMDetection's configs join levels; sides of batches must be
multiples of it."""

UNKNOWN_ANCHORS = 'but the option for the size of these anchors is not known: set it here.'

UNFROZEN = dict(EfficientNet=0)
"""Value of ``frozen_stages`` that freezes nothing, for backbones where it is not -1."""


def small_detector(model: dict, ratio: Fraction) -> dict[str, Any]:
    """Return the changes to a detector's config for small images.

    The backbone is unfrozen, batches are padded to multiples of the strides and resized to smaller
    sizes, and anchors become smaller with the objects. Points follow from strides, and stay.

    Args:
        model: The detector's config for the large image. Not changed.
        ratio: Side of the large image over that of the image that the detector reads.

    Returns:
        Values that a config which inherits this one sets, with remarks for its text.
    """
    changes: dict[str, Any] = {}
    backbone = unfrozen(model.get('backbone', {}))
    if backbone:
        changes['backbone'] = backbone
    if ratio == 1:
        return changes
    preprocessor = _small_batches(model.get('data_preprocessor') or {}, ratio)
    if 'pad_size_divisor' in preprocessor and 'mask' in str(model):
        preprocessor['pad_mask'] = True
    if preprocessor:
        changes['data_preprocessor'] = preprocessor
    for name in ('rpn_head', 'bbox_head'):
        anchors = _small_anchors(model.get(name), ratio)
        if anchors:
            rest = 'and so are their anchors.' if all(anchors.values()) else UNKNOWN_ANCHORS
            remark = Remark(f'Objects are {ratio} times as small, {rest}')
            known = {key: sizes for key, sizes in anchors.items() if sizes}
            changes[name] = dict(remark=remark, **known)
    return changes


def unfrozen(backbone: dict) -> dict[str, Any]:
    """Return the change that lets a backbone train all of its stages; {} if it already does."""
    none = UNFROZEN.get(backbone.get('type'), -1)
    if backbone.get('frozen_stages', none) <= none:
        return {}
    remark = Remark('Nothing is frozen: small images look different, and ISRD trains the stem.')
    return dict(remark=remark, frozen_stages=none)


def _small_batches(preprocessor: dict, ratio: Fraction) -> dict[str, Any]:
    """Return the changes to a data preprocessor."""
    changes: dict[str, Any] = {}
    if preprocessor and preprocessor.get('pad_size_divisor', 1) == 1:
        changes['remark'] = Remark(f'The given size over {ratio} may not be whole strides.')
        changes['pad_size_divisor'] = STRIDE
    augments = preprocessor.get('batch_augments') or []
    small = [scale_options(augment, BATCH_AUGMENTS, 1 / ratio) for augment in augments]
    if small != augments:
        changes['other_remark'] = Remark(f'Sizes of the small image: the given ones over {ratio}.')
        changes['batch_augments'] = small
    return changes


def _small_anchors(head: Any, ratio: Fraction) -> dict[str, Any]:
    """Return smaller sizes or scales for each anchor generator of a head; some have several."""
    return {
        name: {
            key: scale_length(size, 1 / ratio, _exact)
            for key, size in _anchor_sizes(generator).items()
        }
        for name, generator in (head.items() if isinstance(head, dict) else ())
        if name.endswith('anchor_generator') and 'Anchor' in generator['type']  # or it has points
    }


def _anchor_sizes(generator: dict) -> dict[str, Any]:
    """Return the options of an anchor generator that its anchors are proportional to, if known."""
    if generator['type'].rpartition('.')[2] == 'SSDAnchorGenerator':
        return _ssd_sizes(generator)
    if generator.get('base_sizes'):
        return dict(base_sizes=generator['base_sizes'])
    keys = ('octave_base_scale', 'scales')
    return {key: generator[key] for key in keys if generator.get(key)}


def _ssd_sizes(generator: dict) -> dict[str, list]:
    """Return smallest and largest size of each level, which SSD computes for 300 or 512 pixels."""
    keys = ('min_sizes', 'max_sizes')
    if all(generator.get(key) for key in keys):
        return {key: generator[key] for key in keys}
    built = TASK_UTILS.build(copy.deepcopy(generator))
    # The second anchor of a level is as large as the geometric mean of both.
    largest = [
        round(size * float(scales[1]) ** 2) for size, scales in zip(built.base_sizes, built.scales)
    ]
    return dict(min_sizes=built.base_sizes, max_sizes=largest)


def _exact(size: Real, factor: Fraction) -> int | float | Code:
    """Scale a size to a whole number, or to a quotient that is computed when the config is read."""
    value = size / (1 / factor)
    if not isinstance(value, Fraction):
        return value
    if value.denominator == 1:
        return int(value)
    return Code(f'{value.numerator} / {value.denominator}')
