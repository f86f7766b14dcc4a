"""Packing of paired results."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackPairedDetInputs(BaseTransform):
    """Pack each view of paired results as MMDetection's ``PackDetInputs`` packs one image.

    Paired results ``dict(hr=…, lr=…)`` become ``dict(inputs=dict(hr=Tensor, lr=Tensor),
    data_samples=dict(hr=DetDataSample, lr=DetDataSample))``; results of one view are packed
    exactly as ``PackDetInputs`` does.

    Args:
        meta_keys: the keys that go into the metainfo; those of ``PackDetInputs`` when None.
    """

    def __init__(self, meta_keys: Sequence[str] | None = None) -> None:
        options = {} if meta_keys is None else dict(meta_keys=meta_keys)
        self.pack = TRANSFORMS.build(dict(type='PackDetInputs', **options))

    def transform(self, results: dict) -> dict:
        if 'img' in results:
            return self.pack(results)
        packed = {
            view: self.pack(view_results | dict(img=_planar(view_results['img'])))
            for view, view_results in results.items()
        }
        return {
            key: {view: item[key] for view, item in packed.items()}
            for key in ('inputs', 'data_samples')
        }

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(meta_keys={self.pack.meta_keys})'


def _planar(img: np.ndarray) -> np.ndarray:
    """The image in the memory order of a packed one.

    OpenCV splits channels several times faster than the stock packing transposes them, which
    pays for the second view.
    """
    return np.stack(cv2.split(img)).transpose(1, 2, 0)
