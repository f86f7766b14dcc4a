"""Write a few images with objects, in the folders of COCO and VOC."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmdet.datasets import CocoDataset, VOCDataset
from pycocotools import mask as coco_mask

SIZE = (96, 128)  # height and width in pixels
IMAGES = dict(train=2, val=2)
OBJECTS = 4
VOC_SETS = dict(trainval='train', test='val')
VOC_OBJECT = """\
<object><name>{name}</name><difficult>0</difficult><bndbox>
<xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>
"""


def write_coco(
    root: Path, classes: Sequence[str] | None = None, masks: str = 'polygon', hard: bool = False
) -> None:
    """Write ``train2017``, ``val2017`` and their annotations as COCO has them.

    Args:
        root: Folder; created if it does not exist.
        classes: Names of the classes; None: COCO's 80.
        masks: Format of the masks, ``'polygon'`` or ``'rle'``.
        hard: Whether one object of each image is a crowd, and the last image of each split has no
            object.
    """
    classes = classes or CocoDataset.METAINFO['classes']
    (root / 'annotations').mkdir(parents=True, exist_ok=True)
    for split, number in IMAGES.items():
        folder = root / f'{split}2017'
        folder.mkdir()
        images, annotations = [], []
        for index in range(number):
            boxes, labels = _draw(folder / f'{index}.jpg', index, len(classes))
            images.append(dict(id=index, file_name=f'{index}.jpg', height=SIZE[0], width=SIZE[1]))
            for place, (box, label) in enumerate(zip(boxes, labels)):
                if hard and index == number - 1:
                    break
                crowd = hard and place == 0
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=index,
                        category_id=label + 1,
                        bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
                        area=(box[2] - box[0]) * (box[3] - box[1]),
                        iscrowd=int(crowd),
                        segmentation=_rle(box) if masks == 'rle' or crowd else _polygon(box),
                    )
                )
        categories = [dict(id=label, name=name) for label, name in enumerate(classes, 1)]
        content = dict(images=images, annotations=annotations, categories=categories)
        file = root / 'annotations' / f'instances_{split}2017.json'
        file.write_text(json.dumps(content))


def write_voc(root: Path) -> None:
    """Write ``VOC2007`` and ``VOC2012`` with the sets ``trainval`` and ``test``."""
    classes = VOCDataset.METAINFO['classes']
    for year in ('VOC2007', 'VOC2012'):
        sets, annotations, pictures = (
            root / year / name for name in ('ImageSets/Main', 'Annotations', 'JPEGImages')
        )
        for folder in (sets, annotations, pictures):
            folder.mkdir(parents=True)
        for name, split in VOC_SETS.items():
            ids = [f'{name}_{index}' for index in range(IMAGES[split])]
            (sets / f'{name}.txt').write_text('\n'.join(ids) + '\n')
            for index, image in enumerate(ids):
                boxes, labels = _draw(pictures / f'{image}.jpg', index, len(classes))
                objects = ''.join(
                    VOC_OBJECT.format(*box, name=classes[label])
                    for box, label in zip(boxes, labels)
                )
                size = '<size><width>{1}</width><height>{0}</height></size>'.format(*SIZE)
                text = f'<annotation>{size}\n{objects}</annotation>\n'
                (annotations / f'{image}.xml').write_text(text)


def _draw(file: Path, seed: int, classes: int) -> tuple[list[list[int]], list[int]]:
    """Write an image of rectangles on noise.

    Returns:
        Their boxes (x1, y1, x2, y2, in pixels) and labels.
    """
    random = np.random.default_rng(seed)
    image = random.integers(0, 80, (*SIZE, 3), dtype=np.uint8)
    labels = random.integers(0, classes, OBJECTS).tolist()
    boxes = []
    for place in range(OBJECTS):  # each in another quarter
        sides = random.integers(20, 44, 2)
        left = 64 * (place % 2) + random.integers(0, 64 - sides[0])
        top = 48 * (place // 2) + random.integers(0, 48 - sides[1])
        boxes.append([int(side) for side in (left, top, left + sides[0], top + sides[1])])
        image[top : top + sides[1], left : left + sides[0]] = random.integers(120, 255, 3)
    cv2.imwrite(str(file), image)
    return boxes, labels


def _polygon(box: list[int]) -> list[list[int]]:
    x1, y1, x2, y2 = box
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def _rle(box: list[int]) -> dict:
    mask = np.zeros(SIZE, dtype=np.uint8, order='F')
    mask[box[1] : box[3], box[0] : box[2]] = 1
    encoded = coco_mask.encode(mask)
    return dict(size=list(SIZE), counts=encoded['counts'].decode())
