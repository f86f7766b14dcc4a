"""Pipelines and datasets of a deployed student, whose image files are small."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import takewhile
from numbers import Real
from typing import Any

from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset

from ..pixel_options import TRANSFORMS, fraction, scale_length, scale_transform, type_name
from ..ratio import parse_enlarge, parse_ratio
from ..transforms.fixed_size import check_fixed_size
from .configs import Place, replace, walk

PACKAGE = 'pd_mmdet'
PACKING = dict(PackPairedDetInputs='PackDetInputs', PackPairedInputs='PackInputs')

_SOUNDS_LIKE_A_SIZE = re.compile(r'(^|_)(scales?|sizes?|shape|width|height|px|pixels?|border)$')


def deployed_pipeline(pipeline: Sequence[dict], ratio: int | float | str | Fraction) -> list[dict]:
    """Turn a pipeline of the large image into one of files that are small.

    Lengths in pixels (see :mod:`.pixel_options`) become those of the view ``lr`` as
    ``LowResolution`` makes it. ``LowResolution`` is removed, and the stock packing transforms
    replace the paired ones. If it enlarges the small image, the first transform that resizes does
    so now; what comes before it reads the small file. Where nothing resizes, a ``Resize`` after
    loading does it; it also tells detectors the scale factor, as ``LowResolution`` did.

    Args:
        pipeline: For training or testing, with or without ``LowResolution``; not changed.
        ratio: Ratio of the views: side of the large image over the view ``lr``, see
            :func:`parse_ratio`; 1 if they have equal sizes.

    Raises:
        ValueError: A transform that :data:`.TRANSFORMS` does not list has an option that sounds
            like a size, the views of ``LowResolution`` have another ratio, or a classifier's image
            is cropped to a size that the ratio does not divide.
    """
    ratio = parse_ratio(ratio, allow_one=True)
    of_file, enlarge = _checked_views(pipeline, ratio)
    resizes = [any('Resize' in name for name in _names(transform)) for transform in pipeline]
    first = resizes.index(True) if any(resizes) else 0
    deployed = [
        *_scaled(pipeline[:first], 1 / of_file),
        *_scaled(_enlarging(pipeline[first : first + 1], enlarge), 1 / ratio),
        *_scaled(pipeline[first + 1 :], 1 / ratio),
    ]
    classifies = 'PackInputs' in _names(deployed)
    if classifies:
        check_fixed_size(pipeline, of_file, enlarge)
    # Detectors bring their boxes back by a scale factor, which nothing else tells.
    if makes_small(pipeline) and not any(resizes) and (enlarge != 1 or not classifies):
        loaders = takewhile(lambda one: type_name(one).startswith('Load'), deployed)
        deployed.insert(len([*loaders]), dict(type='Resize', scale_factor=float(enlarge)))
    return without_views(deployed)


def small_file(config: Any) -> tuple[Fraction, Fraction] | None:
    """Find how small the files of a deployed student are.

    Args:
        config: A pipeline, or another part of a config that contains one.

    Returns:
        ``ratio`` and ``enlarge`` of the first ``LowResolution``; None if there is none.
    """
    for _, low in walk(config):
        if is_low_resolution(low):
            ratio = parse_ratio(low['ratio'])
            return ratio, parse_enlarge(low.get('enlarge', 1), ratio)
    return None


def without_views(pipeline: Any) -> Any:
    """Return a config without ``LowResolution``, and without lists that held nothing else.

    Such a list is a group of ``TestTimeAug``.
    """
    if isinstance(pipeline, dict):
        return {key: without_views(inner) for key, inner in pipeline.items()}
    if isinstance(pipeline, (list, tuple)):
        kept = [(inner, without_views(inner)) for inner in pipeline if not is_low_resolution(inner)]
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


def is_low_resolution(value: Any) -> bool:
    """Return whether a value is the config of ``LowResolution``."""
    return isinstance(value, dict) and 'type' in value and type_name(value) == 'LowResolution'


def _checked_views(pipeline: Sequence[dict], ratio: Fraction) -> tuple[Fraction, Fraction]:
    """Return ``ratio`` and ``enlarge`` of ``LowResolution``, whose views must have a ratio."""
    of_file, enlarge = small_file(pipeline) or (ratio, Fraction(1))
    if of_file / enlarge != ratio:
        raise ValueError(
            f'the pipeline has LowResolution(ratio={of_file}, enlarge={enlarge}), but the view lr '
            f'is needed at ratio {ratio}: ratio / enlarge must be {ratio}'
        )
    return of_file, enlarge


def _scaled(pipeline: Sequence[dict], factor: Fraction) -> list[dict]:
    """Multiply the lengths in transforms, and in those inside of them, by a factor."""
    return replace(list(pipeline), partial(_scaled_transform, factor))


def _enlarging(pipeline: Sequence[dict], enlarge: Fraction) -> list[dict]:
    """Multiply the relative sizes of transforms that resize: those of the file, not in pixels."""

    def enlarged(_: Place, value: Any) -> Any:
        if isinstance(value, dict) and value.get('scale_factor') and not value.get('scale'):
            factor = scale_length(value['scale_factor'], enlarge, fraction)
            return value | dict(scale_factor=factor)
        return value

    return replace(list(pipeline), enlarged)


def _scaled_transform(factor: Fraction, _: Place, value: Any) -> Any:
    """Return the config of a transform for another size; what is no transform stays."""
    if not isinstance(value, dict) or 'type' not in value:
        return value
    name = type_name(value)
    if name in PACKING:
        return value | dict(type=PACKING[name])
    # Albumentations has a RandomCrop, too, with other options.
    known = TRANSFORMS.get(name, {})
    _refuse_sizes(name, {key: option for key, option in value.items() if key not in known})
    return scale_transform(value, factor)


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
