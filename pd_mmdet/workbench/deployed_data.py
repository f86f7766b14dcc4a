"""Pipelines and datasets of a deployed student, whose image files are small."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from numbers import Real
from typing import Any

from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

from ..pixel_options import TRANSFORMS, scale_transform, type_name
from ..ratio import parse_ratio
from ..transforms.fixed_size import check_fixed_size
from .configs import Place, replace, walk

PACKAGE = 'pd_mmdet'
PACKING = dict(PackPairedDetInputs='PackDetInputs', PackPairedInputs='PackInputs')

_SOUNDS_LIKE_A_SIZE = re.compile(r'(^|_)(scales?|sizes?|shape|width|height|px|pixels?|border)$')


def deployed_pipeline(pipeline: Sequence[dict], ratio: int | float | str | Fraction) -> list[dict]:
    """Turn a pipeline of the large image into one of files that are small.

    Lengths in pixels (see :mod:`.pixel_options`) become those of the small image, as
    ``LowResolution`` makes it. ``LowResolution`` is removed, and the stock packing transforms
    replace the paired ones. Where nothing else resizes, a ``Resize`` by 1 tells detectors the scale
    factor, as ``LowResolution`` did.

    Args:
        pipeline: For training or testing, with or without ``LowResolution``; not changed.
        ratio: Side of the large image over the small one, see :func:`parse_ratio`.

    Raises:
        ValueError: A transform that :data:`.TRANSFORMS` does not list has an option that sounds
            like a size, ``LowResolution`` has another ratio, or a classifier's image is cropped to
            a size that the ratio does not divide.
    """
    deployed = without_views(replace(list(pipeline), partial(_small_transform, parse_ratio(ratio))))
    names = set(_names(deployed))
    if 'PackInputs' in names:
        check_fixed_size(pipeline, ratio)
    elif makes_small(pipeline) and not any('Resize' in name for name in names):
        # Detectors bring their boxes back by a scale factor, which nothing else tells.
        deployed.insert(-1, dict(type='Resize', scale_factor=1.0))
    return deployed


def without_views(pipeline: Any) -> Any:
    """Return a config without ``LowResolution``, and without lists that held nothing else.

    Such a list is a group of ``TestTimeAug``.
    """
    if isinstance(pipeline, dict):
        return {key: without_views(inner) for key, inner in pipeline.items()}
    if isinstance(pipeline, (list, tuple)):
        kept = [
            (inner, without_views(inner)) for inner in pipeline if not _is_low_resolution(inner)
        ]
        return type(pipeline)(new for old, new in kept if new or not old)
    return pipeline


def makes_small(pipeline: Any) -> bool:
    """Return whether ``LowResolution`` is anywhere in a pipeline, which makes the small image."""
    return 'LowResolution' in _names(pipeline)


def stock_dataset(dataset: dict) -> dict[str, Any]:
    """Return the options that turn a dataset of this package into the stock one that it extends.

    Args:
        dataset: Any config.

    Returns:
        ``type`` and ``metainfo``; nothing for what is no dataset of this package.
    """
    kind = DATASETS.module_dict.get(str(dataset.get('type')).rpartition('.')[2])
    if not (isinstance(kind, type) and issubclass(kind, BaseDataset) and is_ours(kind)):
        return {}
    stock = next(base for base in kind.__mro__ if not is_ours(base))
    metainfo = {**kind.METAINFO, **(dataset.get('metainfo') or {})}
    return dict(type=stock.__name__, metainfo=metainfo)


def is_ours(registered: Callable) -> bool:
    """Return whether a class or function is part of this package."""
    return registered.__module__.partition('.')[0] == PACKAGE


def _names(value: Any) -> Iterator[str]:
    """Yield the names of all transforms, those inside of others too."""
    return (
        type_name(inner) for _, inner in walk(value) if isinstance(inner, dict) and 'type' in inner
    )


def _is_low_resolution(value: Any) -> bool:
    return isinstance(value, dict) and 'type' in value and type_name(value) == 'LowResolution'


def _check_ratio(low_resolution: dict, ratio: Fraction) -> None:
    if parse_ratio(low_resolution['ratio']) != ratio:
        raise ValueError(
            f'the pipeline has LowResolution(ratio={low_resolution["ratio"]!r}), but the small '
            f'image is needed at ratio {ratio}: both must be equal'
        )


def _small_transform(ratio: Fraction, _: Place, value: Any) -> Any:
    """Return the config of a transform for the small image; what is no transform stays."""
    if not isinstance(value, dict) or 'type' not in value:
        return value
    if _is_low_resolution(value):
        _check_ratio(value, ratio)
    name = type_name(value)
    if name in PACKING:
        return value | dict(type=PACKING[name])
    # Albumentations has a RandomCrop, too, with other options.
    known = TRANSFORMS.get(name, {})
    _refuse_sizes(name, {key: option for key, option in value.items() if key not in known})
    return scale_transform(value, 1 / ratio)


def _refuse_sizes(name: str, options: dict) -> None:
    """Refuse options of a transform that sound like sizes."""
    for option, value in options.items():
        if _SOUNDS_LIKE_A_SIZE.search(option) and _has_pixels(value):
            raise ValueError(
                f'{name}({option}={value!r}) looks like a size in pixels of the large image, and '
                'its size for the small image is not known. Known are the sizes of '
                f'{", ".join(TRANSFORMS)}: use one of these, or write the pipeline of the small '
                'image by hand'
            )


def _has_pixels(value: Any) -> bool:
    """Return whether a value holds a whole number larger than 1."""
    return any(
        isinstance(inner, Real) and not isinstance(inner, bool) and inner % 1 == 0 and inner > 1
        for _, inner in walk(value)
    )
