"""Packing of paired views."""

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS


class PackPaired(BaseTransform):
    """Pack both views of an image, with the annotations of the small one.

    Paired results ``dict(hr=…, lr=…)`` become ``dict(inputs=dict(hr=Tensor, lr=Tensor),
    data_samples=…)``, with images (C, H, W). The data sample is that of the student, which reads
    ``lr``; annotations of ``hr`` are not used. Results of one view are packed exactly as by the
    ordinary transform (``stock``).

    Args:
        options: Options of the ordinary transform.
    """

    stock: type[BaseTransform]

    def __init__(self, **options: Any) -> None:
        self.pack = self.stock(**options)

    def transform(self, results: dict) -> dict:
        if 'img' in results:
            return self.pack(results)
        images = {view: _planar(view_results['img']) for view, view_results in results.items()}
        packed = self.pack(results['lr'] | dict(img=images['lr']))
        large = self.pack(dict(img=images['hr']))
        return dict(packed, inputs=dict(hr=large['inputs'], lr=packed['inputs']))

    def __repr__(self) -> str:
        return repr(self.pack).replace(self.stock.__name__, self.__class__.__name__, 1)


@TRANSFORMS.register_module()
class PackPairedDetInputs(PackPaired):
    """Pack paired results as MMDetection's ``PackDetInputs`` does, see :class:`PackPaired`."""

    stock = PackDetInputs


def _planar(img: np.ndarray) -> np.ndarray:
    """Copy an image (H, W, C) into the memory order of a packed image, (C, H, W).

    OpenCV splits channels several times faster than the ordinary packing transposes them. This
    saves as much time as the second view costs.
    """
    height, width, *channels = img.shape
    planes = np.empty((*(channels or [1]), height, width), img.dtype)
    cv2.split(img, [*planes])
    return planes.transpose(1, 2, 0)
