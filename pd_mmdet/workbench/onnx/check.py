"""Compare what an ONNX file finds with what the student's own ``predict`` finds."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import mmcv
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import BaseDataElement
from torch import Tensor

from .preprocess import enlarge_bytes
from .runtime import Session
from .student import Student

BOX_TOLERANCE, SCORE_TOLERANCE = 0.02, 1e-3
"""Largest difference of a side of a box in pixels of the small image, and of a score."""

ALONE = 0.005
"""Share of the detections that may be found by one alone: rounding decides which of two boxes with
one score hides the other."""


class Found(NamedTuple):
    """Detections in one image.

    Attributes:
        boxes: (K, 4), x1 y1 x2 y2 in pixels of the small image.
        scores: (K,), the best first.
        labels: (K,).
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


class Difference(NamedTuple):
    """How far an ONNX file and its student are apart.

    Attributes:
        images: Number of images that were compared.
        found: Number of detections, or of scores of a classifier.
        boxes: Largest difference of a box in pixels of the small image.
        scores: Largest difference of a score.
        alone: Number of detections that one of them alone found.
    """

    images: int
    found: int
    boxes: float
    scores: float
    alone: int

    def __str__(self) -> str:
        return (
            f'{self.images} images, {self.found} results: boxes differ by at most '
            f'{self.boxes:.1g} px (allowed {BOX_TOLERANCE}), scores by {self.scores:.1g} (allowed '
            f'{SCORE_TOLERANCE}), {self.alone} found by one alone (allowed '
            f'{int(ALONE * self.found)})'
        )

    def check(self) -> None:
        """Refuse a difference beyond the tolerances.

        Raises:
            ValueError: The message has the difference.
        """
        alone = self.alone > ALONE * self.found
        if alone or not (self.boxes <= BOX_TOLERANCE and self.scores <= SCORE_TOLERANCE):
            raise ValueError(f'the ONNX file does not find what the student finds: {self}')


def compare(student: Student, session: Session, images: Sequence[np.ndarray]) -> Difference:
    """Run both on images, one after the other."""
    one = _compare_scores if session.classifies else _compare_boxes
    parts = [one(student, session, image) for image in images]
    images_, found, boxes, scores, alone = zip(*parts)
    return Difference(sum(images_), sum(found), max(boxes), max(scores), sum(alone))


def with_odd_sizes(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Add, for each image, a part of it whose sides are odd, and another for each."""
    odd = []
    for index, image in enumerate(images):
        height, width = (side - side // 4 - index for side in image.shape[:2])
        odd.append(image[index:, index:][: height | 1, : width | 1])
    return [*images, *odd]


def _compare_scores(student: Student, session: Session, image: np.ndarray) -> Difference:
    own = session.run(image[None])['scores'][0]
    other = predicted(student, image).pred_score.numpy()
    return Difference(1, len(own), 0.0, float(np.abs(own - other).max()), 0)


def _compare_boxes(student: Student, session: Session, image: np.ndarray) -> Difference:
    own = session.run(image[None])
    number = own['counts'][0]
    own = Found(*(own[name][0, :number] for name in Found._fields))
    instances = predicted(student, image).pred_instances
    other = Found(*(instances[key].numpy() for key in ('bboxes', 'scores', 'labels')))
    pairs = matched(own, other)
    boxes = [np.abs(own.boxes[i] - other.boxes[j]).max() for i, j in pairs]
    scores = [abs(own.scores[i] - other.scores[j]) for i, j in pairs]
    found = max(len(own.scores), len(other.scores))
    largest = (float(max(each, default=0.0)) for each in (boxes, scores))
    return Difference(1, found, *largest, found - len(pairs))


def matched(own: Found, other: Found) -> list[tuple[int, int]]:
    """Pair detections of one class, each with the nearest that is left, near ones only.

    A pair's boxes differ by less than a pixel and their scores by less than 0.05: a mistake is seen
    in the difference of a pair, or leaves both without one.
    """
    left = np.ones(len(other.scores), dtype=bool)
    pairs = []
    for index in range(len(own.scores)):
        boxes = np.abs(other.boxes - own.boxes[index]).max(1, initial=0)
        scores = np.abs(other.scores - own.scores[index])
        near = left & (other.labels == own.labels[index]) & (boxes < 1) & (scores < 0.05)
        if near.any():
            place = int(np.where(near, boxes + scores, np.inf).argmin())
            left[place] = False
            pairs.append((index, place))
    return pairs


@torch.no_grad()
def predicted(student: Student, image: np.ndarray) -> BaseDataElement:
    """Let the student itself predict for a small image (H, W, C), with boxes in its pixels."""
    read = _enlarged(image, student.enlarge)
    if student.task.scope == 'mmpretrain':
        return student.model.test_step(dict(inputs=read[None]))[0]
    height, width = read.shape[1:]
    sizes = dict(img_shape=(height, width), ori_shape=image.shape[:2])
    factors = (width / image.shape[1], height / image.shape[0])
    sample = DetDataSample(metainfo=dict(sizes, scale_factor=factors))
    return student.model.test_step(dict(inputs=[read], data_samples=[sample]))[0]


def _enlarged(image: np.ndarray, enlarge: Fraction) -> Tensor:
    """Enlarge an image to (C, H, W), uint8, as the graph does, after comparing with OpenCV.

    Raises:
        ValueError: They differ by more than their rounding.
    """
    height, width = (int(side * enlarge) for side in image.shape[:2])
    small = torch.from_numpy(image).permute(2, 0, 1)
    if enlarge == 1:
        return small
    large = enlarge_bytes(small[None].float(), (height, width))[0]
    by_opencv = mmcv.imresize(image, (width, height), interpolation='bilinear', backend='cv2')
    difference = np.abs(large.numpy() - by_opencv.reshape(height, width, -1).transpose(2, 0, 1))
    if difference.max() > 1:
        raise ValueError(
            f'an enlarged image differs from that of OpenCV by {difference.max():.0f} of 255; 1 is '
            'rounding'
        )
    return large.byte()
