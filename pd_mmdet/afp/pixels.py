"""Conversion of data samples from pixels of the large image to those of the small one, and back."""

from collections.abc import Sequence
from fractions import Fraction

from mmdet.structures import DetDataSample
from mmdet.structures.bbox import BaseBoxes, scale_boxes
from mmdet.structures.mask import BaseInstanceMasks
from mmengine.structures import InstanceData, PixelData
from torch import Tensor
from torch.nn.functional import interpolate

SHAPES = ('img_shape', 'pad_shape', 'batch_input_shape')
INSTANCES = ('gt_instances', 'ignored_instances', 'proposals')
SMALL = ('pairwise_masks',)
"""Maps that already have the size of the small image, see :func:`rescale_preprocessor`."""


def to_small(sample: DetDataSample, ratio: Fraction) -> DetDataSample:
    """Convert a data sample of the large image to one of the small image.

    Args:
        sample: A sample of the large image. Not changed.
        ratio: Side length of the large image over the small one.

    Returns:
        A new sample. Its shapes, ``scale_factor``, boxes, masks and semantic map are those of
        ``sample`` divided by ``ratio``; everything else is shared with ``sample``.

    Raises:
        NotImplementedError: The instances have maps that are not masks.
    """
    k = float(ratio)
    small = sample.new()
    metainfo = {
        key: tuple(_exact(side / ratio) for side in sample.get(key)[:2])
        for key in SHAPES
        if key in sample
    }
    if 'border' in sample:  # the padding of RandomCenterCropPad
        metainfo['border'] = tuple(float(side) / k for side in sample.border)
    if 'scale_factor' in sample:
        metainfo['scale_factor'] = tuple(factor / k for factor in sample.scale_factor)
    small.set_metainfo(metainfo)
    for key in INSTANCES:
        if key in sample:
            small.set_data({key: _small_instances(sample.get(key), ratio)})
    if 'gt_sem_seg' in sample:
        small.gt_sem_seg = _small_map(sample.gt_sem_seg, k)
    return small


def with_predictions(
    sample: DetDataSample, found: DetDataSample, ratio: Fraction | int
) -> DetDataSample:
    """Copy the predictions of the small image into the sample of the large image.

    Args:
        sample: A sample of the large image. Changed in place.
        found: The sample of the small image, with predictions.
        ratio: Factor for all lengths in pixels; 1 if the predictions are in pixels of the file.

    Returns:
        ``sample``.
    """
    for key in found.keys():
        if key.startswith('pred_'):
            sample.set_data({key: _large(found.get(key), float(ratio))})
    return sample


def _exact(side: Fraction) -> int | float:
    return int(side) if side.denominator == 1 else float(side)


def _small_instances(instances: InstanceData, ratio: Fraction) -> InstanceData:
    small = instances.new()
    for key, value in instances.items():
        if key == 'bboxes':
            small.bboxes = _small_boxes(value, float(ratio))
        elif isinstance(value, BaseInstanceMasks):
            shape = tuple(round(side / ratio) for side in (value.height, value.width))
            # Majority vote on bitmaps, as in LowResolution (which may have made them already).
            small.set_field(value.resize(shape, interpolation='area'), key)
        elif isinstance(value, Tensor) and value.ndim > 2 and key not in SMALL:
            raise NotImplementedError(
                f'AFP cannot convert the field {key!r} of the instances, of shape '
                f'{tuple(value.shape)}, to the small image; it knows boxes and masks'
            )
    return small


def _small_boxes(boxes: Tensor | BaseBoxes, ratio: float) -> Tensor | BaseBoxes:
    if isinstance(boxes, BaseBoxes):
        boxes = boxes.clone()
        boxes.rescale_((1 / ratio, 1 / ratio))
        return boxes
    return boxes / ratio  # more exact than a product: 1 / (3/2) is rounded


def _large(data: InstanceData | PixelData, ratio: float) -> InstanceData | PixelData:
    if ratio == 1:
        return data
    large = {}
    for key, value in data.items():
        if key == 'bboxes':
            value = scale_boxes(value, (ratio, ratio))
        elif isinstance(value, Tensor) and value.ndim > 2:
            value = _resize(value, [round(side * ratio) for side in value.shape[-2:]])
        large[key] = value
    return data.new(**large)


def _small_map(data: PixelData, ratio: float) -> PixelData:
    shape = [round(side / ratio) for side in data.shape]
    return PixelData(**{key: _resize(value, shape) for key, value in data.items()})


def _resize(maps: Tensor, shape: Sequence[int]) -> Tensor:
    """Resize maps (n, H, W) of labels or booleans by nearest neighbours."""
    if not len(maps):
        return maps.new_zeros(0, *shape)
    resized = interpolate(maps[None].float(), size=list(shape), mode='nearest-exact')
    return resized[0].to(maps.dtype)
