"""The checks find what they are for: assistants that are out of line in one thing."""

from fractions import Fraction

import pytest
import torch
from mmdet.models.roi_heads import StandardRoIHead

from pd_mmdet.afp import detector
from pd_mmdet.afp.pixels import to_small, with_predictions
from pd_mmdet.testing.invariants import (
    CHECKS,
    Pair,
    check_losses,
    check_predictions,
    check_priors,
    check_shapes,
    check_weights,
)
from pd_mmdet.testing.noise import Annotations
from tests.helpers.slim import CLASSES, slim


@pytest.fixture
def pair():
    return Pair.build(slim('RetinaNet'), Fraction(2), Annotations(CLASSES))


def test_an_assistant_passes(pair):
    for _, check in CHECKS:
        check(pair)


def test_1_another_key(pair):
    pair.assistant.more = torch.nn.Linear(1, 1)
    with pytest.raises(AssertionError, match=r"different keys: \['more.bias', 'more.weight'\]"):
        check_weights(pair)


def test_1_another_shape(pair):
    pair.assistant.bbox_head.retina_cls = torch.nn.Conv2d(32, 5, 3)
    with pytest.raises(RuntimeError, match='size mismatch for bbox_head.retina_cls'):
        check_weights(pair)


def test_2_features_that_are_not_rescaled(pair, monkeypatch):
    monkeypatch.setattr(type(pair.assistant.neck.afp), 'forward', lambda self, feats, sizes: feats)
    with pytest.raises(AssertionError, match='shapes .* where the student has'):
        check_shapes(pair)


def test_2_one_row_too_many(pair, monkeypatch):
    small_sizes = detector.AFPDetector._small_sizes
    monkeypatch.setattr(
        detector.AFPDetector,
        '_small_sizes',
        lambda self, images: [(rows + 1, cols) for rows, cols in small_sizes(self, images)],
    )
    with pytest.raises(AssertionError, match='shapes .* where the student has'):
        check_shapes(pair)


@pytest.mark.parametrize('key', ['scale_factor', 'img_shape'])
def test_3_and_4_a_length_that_is_forgotten(pair, monkeypatch, key):
    def forgetful(sample, ratio):
        small = to_small(sample, ratio)
        small.set_metainfo({key: sample.get(key)})
        return small

    monkeypatch.setattr(detector, 'to_small', forgetful)
    with pytest.raises(AssertionError, match='pred_instances.bboxes'):
        check_predictions(pair)
    if key == 'scale_factor':
        with pytest.raises(AssertionError, match='pred_instances.bboxes'):
            check_priors(pair)


def test_3_and_4_other_strides(pair):
    """As an assistant would have them that multiplied its strides and forgot the samples."""
    generator = pair.assistant.bbox_head.prior_generator
    generator.strides = [(2 * x, 2 * y) for x, y in generator.strides]
    with pytest.raises(AssertionError):
        check_losses(pair)
    with pytest.raises(AssertionError):
        check_predictions(pair)
    with pytest.raises(AssertionError):
        check_priors(pair)


def test_4_boxes_that_are_not_divided(pair, monkeypatch):
    def forgetful(sample, ratio):
        small = to_small(sample, ratio)
        small.gt_instances = sample.gt_instances
        return small

    monkeypatch.setattr(detector, 'to_small', forgetful)
    with pytest.raises(AssertionError):
        check_losses(pair)


def test_4_ignored_boxes_that_are_not_divided(monkeypatch):
    def forgetful(sample, ratio):
        small = to_small(sample, ratio)
        small.ignored_instances = sample.ignored_instances
        return small

    cfg = slim('RetinaNet')
    cfg.train_cfg.assigner.ignore_iof_thr = 0.5
    monkeypatch.setattr(detector, 'to_small', forgetful)
    with pytest.raises(AssertionError):
        check_losses(Pair.build(cfg, Fraction(2), Annotations(CLASSES)))


def test_4_predictions_in_the_small_images_pixels(pair, monkeypatch):
    monkeypatch.setattr(
        detector, 'with_predictions', lambda sample, own, ratio: with_predictions(sample, own, 1)
    )
    with pytest.raises(AssertionError, match='pred_instances.bboxes'):
        check_predictions(pair)


@pytest.mark.parametrize('what', ['masks', 'gt_sem_seg'])
def test_4_masks_and_maps_that_are_shifted(monkeypatch, what):
    def shifting(sample, ratio):
        small = to_small(sample, ratio)
        if what == 'masks':
            masks = small.gt_instances.masks
            small.gt_instances.masks = masks.translate(masks.masks.shape[1:], 8)
        else:
            small.gt_sem_seg.sem_seg = small.gt_sem_seg.sem_seg.roll(16, -1)
        return small

    monkeypatch.setattr(detector, 'to_small', shifting)
    pair = Pair.build(slim('HTC'), Fraction(2), Annotations(CLASSES, 'bitmap', sem_seg=True))
    with pytest.raises(AssertionError):
        check_losses(pair)


def test_4_other_roi_levels():
    pair = Pair.build(slim('FasterRCNN'), Fraction(2), Annotations(CLASSES))
    assert isinstance(pair.assistant.roi_head, StandardRoIHead)
    pair.assistant.roi_head.bbox_roi_extractor.finest_scale = 28
    with pytest.raises(AssertionError, match='RoI features'):
        check_predictions(pair)


def test_4_too_few_levels_are_said(pair):
    with pytest.raises(AssertionError, match='only . of 5 levels learn boxes'):
        check_losses(pair, levels=6)
