"""Try the pipelines of a config, with the views in them, on an image with annotations."""

from __future__ import annotations

import copy
from fractions import Fraction
from typing import Any

import numpy as np
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import Config

from ...workbench.recipes.pipelines import TTA, Pipelines, kind, with_views
from ..noise import Annotations

SIZE = (240, 320)  # height and width in pixels
BOXES = np.array([[20, 30, 90, 110], [120, 60, 300, 220], [150, 10, 180, 60]], dtype=np.float32)


def check_pipelines(cfg: Config, annotations: Annotations, ratio: Fraction) -> None:
    """Run the pipelines of training and testing with ``LowResolution`` before they pack.

    Noise replaces what they load. A pipeline that fails without views, too, is left out.

    Raises:
        ValueError: One fails because of the views; the message names it.
    """
    pipelines = Pipelines(cfg)
    for name, pipeline in (pipelines.train | pipelines.test).items():
        if kind(pipeline[-1]) == TTA or not _runs(pipeline, annotations):
            continue
        testing = name in pipelines.test
        views = [['lr'], ['hr']] if testing else [['lr'], ['hr'], ('hr', 'lr')]
        for each in views:
            try:
                _run(with_views(pipeline, dict(ratio=str(ratio)), each, testing), annotations)
            except Exception as error:  # transforms may be custom
                raise ValueError(f'{name}: {type(error).__name__}: {error}') from error


def _runs(pipeline: list[dict], annotations: Annotations) -> bool:
    try:
        _run(pipeline, annotations)
    except Exception:  # transforms may be custom
        return False
    return True


def _run(pipeline: list[dict], annotations: Annotations) -> dict:
    results = _loaded(pipeline, annotations)
    for options in pipeline:
        if kind(options).startswith('Load'):
            continue
        transform = TRANSFORMS.build(copy.deepcopy(options))
        if hasattr(transform, 'get_indexes'):
            chosen = transform.get_indexes([_loaded(pipeline, annotations)] * 9)
            number = 1 if isinstance(chosen, int) else len(chosen)
            results['mix_results'] = [_loaded(pipeline, annotations) for _ in range(number)]
        results = transform(results)
        results.pop('mix_results', None)
    return results


def _loaded(pipeline: list[dict], annotations: Annotations) -> dict[str, Any]:
    """Return what loading transforms would: noise with three objects."""
    img = np.random.RandomState(0).randint(0, 256, (*SIZE, 3), dtype=np.uint8)
    if any(options.get('to_float32') for options in pipeline):
        img = img.astype(np.float32)
    results = dict(
        img=img,
        img_id=0,
        img_path='noise.png',
        img_shape=SIZE,
        ori_shape=SIZE,
        height=SIZE[0],
        width=SIZE[1],
        instances=[],
        gt_bboxes=HorizontalBoxes(BOXES.copy()),
        gt_bboxes_labels=np.arange(len(BOXES)) % annotations.classes,
        gt_ignore_flags=np.zeros(len(BOXES), dtype=bool),
    )
    if annotations.masks:
        results['gt_masks'] = _masks(annotations.masks)
    if annotations.sem_seg:
        results['gt_seg_map'] = np.zeros(SIZE, dtype=np.uint8)
    if annotations.proposals:
        results |= dict(proposals=BOXES.copy(), proposals_scores=np.ones(len(BOXES), np.float32))
    return results


def _masks(form: str) -> BitmapMasks | PolygonMasks:
    if form == 'polygon':
        corners = [[np.array(box)[[0, 1, 2, 1, 2, 3, 0, 3]]] for box in BOXES]
        return PolygonMasks(corners, *SIZE)
    maps = np.zeros((len(BOXES), *SIZE), dtype=np.uint8)
    for mask, (left, top, right, bottom) in zip(maps, BOXES.astype(int)):
        mask[top:bottom, left:right] = 1
    return BitmapMasks(maps, *SIZE)
