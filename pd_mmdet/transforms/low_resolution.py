"""Two views of one photograph: the large image and the small one."""

import zlib
from collections.abc import Mapping, Sequence
from fractions import Fraction

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import BaseBoxes
from mmdet.structures.mask import BaseInstanceMasks, BitmapMasks
from mmengine.registry import TRANSFORMS

from ..ratio import parse_enlarge, parse_ratio, side_multiple
from .degradation import Degradation, Random, like
from .masks import MasksOfBothViews

VIEWS = ('hr', 'lr')
INTERPOLATIONS = ('area', 'bilinear', 'bicubic', 'nearest')

_BOXES = ('gt_bboxes', 'proposals')
# These values do not depend on the size of the image.
_WITHOUT_PIXELS = (
    *('gt_bboxes_labels', 'gt_ignore_flags', 'gt_instances_ids', 'proposals_scores'),
    *('gt_label', 'gt_label_difficult', 'gt_score'),  # classification
)
_KNOWN = frozenset(
    (*_BOXES, *_WITHOUT_PIXELS, 'img', 'gt_masks', 'gt_seg_map', 'homography_matrix', 'border')
)


@TRANSFORMS.register_module()
class LowResolution(BaseTransform):
    """Make the views ``hr`` and ``lr`` of one image, after all augmentations and before packing.

    ``hr`` is the image, padded at the right and bottom to a multiple of p, where the ratio is
    k = p/q. ``lr`` is ``hr`` made k times smaller. Boxes, masks, shapes, ``scale_factor``,
    ``border`` and ``homography_matrix`` of ``lr`` are those of ``hr`` divided by k. ``ori_shape``
    and the raw ``instances`` stay in pixels of the file, so predictions on either view can be
    converted back to it.

    With ``enlarge`` u, ``lr`` is the small image made u times larger again: what a network reads
    that is deployed on small files behind an ordinary ``Resize``. Then ``lr`` and its annotations
    are those of ``hr`` divided by k/u, and ``hr`` is padded so that both sizes are whole.

    Args:
        ratio: k, side length of ``hr`` over that of the small image: a number or 'p/q', see
            :func:`parse_ratio`.
        views: The views to return. Both: the results become ``dict(hr=results, lr=results)``.
            One: the results stay an ordinary dict, that of this view.
        interpolation: How the small image is made: 'area' (mean weighted by area), 'bilinear',
            'bicubic' or 'nearest'.
        degradation: Options of :class:`Degradation` (``blur``, ``noise``, ``jpeg``), applied to
            the small image only, before it is enlarged.
        seed: Seed of the random degradation, for testing: the result then depends only on the seed
            and the ``img_id`` of the image (or ``sample_idx``, if it has none). None: use numpy's
            global random state.
        min_side: Smallest height and width of ``lr`` in pixels; usually the stride of the finest
            level.
        enlarge: u, side length of ``lr`` over that of the small image, from 1 to k; k/u, the ratio
            of the views, must be a valid ratio, or 1. The interpolation is bilinear, as that of
            ``Resize``.

    Raises:
        ValueError: An option has an unknown value; or an image is too small (the message names its
            file); or the results have an annotation that cannot be converted to the small image.
    """

    def __init__(
        self,
        ratio: int | float | str | Fraction,
        views: Sequence[str] = VIEWS,
        interpolation: str = 'area',
        degradation: Mapping | None = None,
        seed: int | None = None,
        min_side: int = 8,
        enlarge: int | float | str | Fraction = 1,
    ) -> None:
        self.ratio = parse_ratio(ratio)
        self.enlarge = parse_enlarge(enlarge, self.ratio)
        if sorted(views) not in (['hr'], ['lr'], ['hr', 'lr']):
            raise ValueError(f"views must name 'hr', 'lr' or both, each once; got {views!r}")
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f'interpolation must be one of {INTERPOLATIONS}; got {interpolation!r}'
            )
        unknown = set(degradation or ()) - {'blur', 'noise', 'jpeg'}
        if unknown:
            raise ValueError(
                f"degradation has the options 'blur', 'noise' and 'jpeg'; got {sorted(unknown)}"
            )
        self.views = tuple(views)
        self.interpolation = interpolation
        self.degradation = Degradation(**degradation) if degradation else None
        self.seed = seed
        self.min_side = min_side

    @property
    def view_ratio(self) -> Fraction:
        """k/u, side length of ``hr`` over that of ``lr``, at least 1."""
        return self.ratio / self.enlarge

    def transform(self, results: dict) -> dict:
        """Make the views of one image.

        Args:
            results: Results of an ordinary pipeline; changed in place to those of ``hr``.
        """
        _refuse_unknown(results)
        self._pad(results)
        shape = self._lr_shape(results)
        masks = results.get('gt_masks')
        if self.views == ('hr',) and isinstance(masks, BitmapMasks):
            results['gt_masks'] = MasksOfBothViews(masks, _shrink_masks(masks, shape))
        if 'lr' not in self.views:
            return results
        small = self._shrink(results, shape)
        return small if 'hr' not in self.views else dict(hr=results, lr=small)

    def _pad(self, results: dict) -> None:
        img = results['img'] = _contiguous(results['img'])
        multiple = side_multiple(self.ratio, self.enlarge)
        shape = tuple(-(-side // multiple) * multiple for side in img.shape[:2])
        if shape != img.shape[:2]:
            results['img'] = like(img, mmcv.impad(img, shape=shape, padding_mode='edge'))
            if 'gt_masks' in results:
                results['gt_masks'] = results['gt_masks'].pad(shape)
            if 'gt_seg_map' in results:
                results['gt_seg_map'] = mmcv.impad(
                    results['gt_seg_map'], shape=shape, padding_mode='edge'
                )
        results.setdefault('scale_factor', (1.0, 1.0))
        _record_shape(results)

    def _lr_shape(self, results: dict) -> tuple[int, int]:
        height, width = _divided(results['img'], self.view_ratio)
        if min(height, width) < self.min_side:
            enlarged = '' if self.enlarge == 1 else f' and enlarge {self.enlarge}'
            raise ValueError(
                f'{results.get("img_path", "an image")}: the small image is {width}x{height} '
                f'pixels (width x height), at ratio {self.ratio}{enlarged}; its sides must be at '
                f'least min_side={self.min_side}'
            )
        return height, width

    def _shrink(self, results: dict, shape: tuple[int, int]) -> dict:
        k = float(self.view_ratio)
        small = dict(results)
        small['img'] = self._shrink_image(results, shape)
        for key in _BOXES:
            if key in results:
                small[key] = _shrink_boxes(results[key], k)
        if 'gt_masks' in results:
            small['gt_masks'] = _shrink_masks(results['gt_masks'], shape)
        if 'gt_seg_map' in results:
            small['gt_seg_map'] = _resize(results['gt_seg_map'], shape, 'nearest')
        small['scale_factor'] = tuple(factor / k for factor in results['scale_factor'])
        if 'border' in results:  # the place of the image in the padding of RandomCenterCropPad
            small['border'] = results['border'] / np.float32(k)
        if 'homography_matrix' in results:
            to_small = np.diag([1 / k, 1 / k, 1]).astype(np.float32)
            small['homography_matrix'] = to_small @ results['homography_matrix']
        _record_shape(small)
        return small

    def _shrink_image(self, results: dict, shape: tuple[int, int]) -> np.ndarray:
        img = self._small_image(results, _divided(results['img'], self.ratio))
        return img if self.enlarge == 1 else _resize(img, shape, 'bilinear')

    def _small_image(self, results: dict, shape: tuple[int, int]) -> np.ndarray:
        def downsample(img: np.ndarray) -> np.ndarray:
            return _resize(img, shape, self.interpolation)

        if self.degradation is None:
            return downsample(results['img'])
        return self.degradation(results['img'], downsample, self._random(results))

    def _random(self, results: dict) -> Random:
        if self.seed is None:
            return np.random
        name = results.get('img_id', results.get('sample_idx', 0))
        image = zlib.crc32(str(name).encode())
        return np.random.RandomState([self.seed, image])

    def __repr__(self) -> str:
        return (
            f"{self.__class__.__name__}(ratio='{self.ratio}', views={self.views}, "
            f'interpolation={self.interpolation!r}, degradation={self.degradation}, '
            f"seed={self.seed}, min_side={self.min_side}, enlarge='{self.enlarge}')"
        )


def _refuse_unknown(results: dict) -> None:
    for key in results.keys() - _KNOWN:
        value = results[key]
        if key.startswith('gt_') or isinstance(
            value, (np.ndarray, torch.Tensor, BaseBoxes, BaseInstanceMasks)
        ):
            raise ValueError(
                f'LowResolution cannot convert {key!r} ({type(value).__name__}) to the small '
                f'image; it knows {sorted(_KNOWN)}. If nothing reads this key, remove it from the '
                'results before LowResolution'
            )


def _contiguous(img: np.ndarray) -> np.ndarray:
    """Copy an image that is a numpy view with swapped channels or flipped sideways.

    OpenCV copies such a view pixel by pixel before each operation, which takes longer than
    everything else here.
    """
    if img.strides[1] < 0:
        return like(img, cv2.flip(_contiguous(img[:, ::-1]), 1))
    if img.ndim == 3 and img.shape[2] > 1 and img.strides[2] != img.itemsize:
        return cv2.merge([img[..., channel] for channel in range(img.shape[2])])
    return img


def _divided(img: np.ndarray, ratio: Fraction) -> tuple[int, int]:
    """Divide height and width of an image by a ratio that leaves whole numbers."""
    height, width = (int(side / ratio) for side in img.shape[:2])
    return height, width


def _record_shape(results: dict) -> None:
    results['img_shape'] = results['img'].shape[:2]
    if 'pad_shape' in results:
        results['pad_shape'] = results['img'].shape


def _shrink_boxes(boxes: BaseBoxes | np.ndarray, ratio: float) -> BaseBoxes | np.ndarray:
    if not isinstance(boxes, BaseBoxes):
        return boxes / np.float32(ratio)
    boxes = boxes.clone()
    boxes.rescale_((float(1 / ratio),) * 2)
    return boxes


def _shrink_masks(masks: BaseInstanceMasks, shape: tuple[int, int]) -> BaseInstanceMasks:
    # On bitmaps this is a majority vote; 'nearest' would shift them by (k - 1) / 2 pixels.
    return masks.resize(shape, interpolation='area')


def _resize(img: np.ndarray, shape: tuple[int, int], interpolation: str) -> np.ndarray:
    if img.ndim == 3 and img.shape[2] > 4:  # OpenCV's area mean has at most four channels
        return cv2.merge([_resize(plane, shape, interpolation) for plane in cv2.split(img)])
    return like(img, mmcv.imresize(img, shape[::-1], interpolation=interpolation, backend='cv2'))
