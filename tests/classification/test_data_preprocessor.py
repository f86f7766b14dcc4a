from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.runner import set_random_seed

pytest.importorskip('mmpretrain')

from mmpretrain.models import ClsDataPreprocessor  # noqa: E402

from pd_mmdet.classification import PackPairedInputs, PairedClsDataPreprocessor  # noqa: E402
from pd_mmdet.transforms import LowResolution  # noqa: E402

RGB = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
OTHER = dict(mean=[127.5, 120.0, 110.0], std=[127.5, 100.0, 90.0], to_rgb=False)
CLASSES, SIDE = 6, 60
MIXUP = dict(augments=[dict(type='Mixup', alpha=1.0)])
CUTMIX = dict(augments=[dict(type='CutMix', alpha=1.0)])


def paired(student=RGB, teacher=RGB, ratio=2, **options):
    return PairedClsDataPreprocessor(student, ratio, teacher, **options)


def stock(augments=None, **options):
    return ClsDataPreprocessor(num_classes=CLASSES, batch_augments=augments, **options)


def noise(i, height=SIDE, width=SIDE):
    return np.random.RandomState(i).randint(0, 256, (height, width, 3), dtype=np.uint8)


def grey(i):
    return np.full((SIDE, SIDE, 3), 20 * (i + 1), dtype=np.uint8)


def batch(ratio=2, views=('hr', 'lr'), collate=pseudo_collate, images=None, pack=None, enlarge=1):
    images = [noise(i) for i in range(CLASSES)] if images is None else images
    transforms = LowResolution(ratio, views, enlarge=enlarge), pack or PackPairedInputs()
    results = [dict(img=img, img_shape=img.shape, gt_label=i) for i, img in enumerate(images)]
    return collate([transforms[1](transforms[0](one)) for one in results])


def of_student(out):
    """Return what the student's own preprocessor would have made."""
    return dict(inputs=out['inputs']['student'], data_samples=out['data_samples'])


def assert_same(found, expected):
    assert torch.equal(found['inputs'], expected['inputs'])
    for sample, wanted in zip(found['data_samples'], expected['data_samples'], strict=True):
        assert sample.metainfo == wanted.metainfo
        assert torch.equal(sample.gt_label, wanted.gt_label)
        assert ('gt_score' in sample) == ('gt_score' in wanted)
        if 'gt_score' in wanted:
            assert torch.equal(sample.gt_score, wanted.gt_score)


# In training, on paired views


@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
@pytest.mark.parametrize('ratio', ['3/2', 2, 4])
def test_each_side_normalises_as_it_does_alone(ratio, collate):
    options = dict(to_onehot=True, num_classes=CLASSES)
    data = batch(ratio, collate=collate)
    out = paired(RGB | options, OTHER, ratio, target=True)(data, training=True)
    assert out['inputs'].keys() == {'student', 'teacher', 'target'}
    alone = ClsDataPreprocessor(**RGB, **options)
    assert_same(of_student(out), alone(batch(ratio, ['lr'], collate), training=True))
    for name, normalisation in dict(teacher=OTHER, target=RGB).items():
        alone = ClsDataPreprocessor(**normalisation)(batch(ratio, ['hr'], collate), training=True)
        assert torch.equal(out['inputs'][name], alone['inputs'])


@pytest.mark.parametrize('divisors', [(1, 1), (16, 1), (16, 24)])
@pytest.mark.parametrize('ratio', ['3/2', 2])
def test_padded_shapes_are_in_the_ratio_and_suit_both_sides(ratio, divisors):
    student, teacher = divisors
    images = [noise(0, 67, 93), noise(1, 80, 71)]
    data = batch(ratio, images=images)
    preprocessor = paired(
        RGB | dict(pad_size_divisor=student, pad_value=1),
        OTHER | dict(pad_size_divisor=teacher),
        ratio,
    )
    out = preprocessor(data, training=True)
    k = Fraction(ratio)
    small, large = (tuple(out['inputs'][name].shape[-2:]) for name in ('student', 'teacher'))
    assert large == tuple(k * side for side in small)
    # By trying: the smallest multiple of the student's whose k-fold is one of the teacher's.
    unit = next(d for d in range(student, 10000, student) if (k * d / teacher).denominator == 1)
    alone = ClsDataPreprocessor(**RGB, pad_size_divisor=unit, pad_value=1)
    assert torch.equal(
        out['inputs']['student'], alone(batch(ratio, ['lr'], images=images))['inputs']
    )
    alone = ClsDataPreprocessor(**OTHER, pad_size_divisor=int(k * unit))
    assert torch.equal(
        out['inputs']['teacher'], alone(batch(ratio, ['hr'], images=images))['inputs']
    )
    shapes = [sample.img_shape for sample in out['data_samples']]
    assert shapes == [tuple(img.shape[-2:]) for img in data['inputs']['lr']]


def test_a_tensor_is_shared_where_it_is_the_same():
    out = paired(target=True)(batch(), training=True)['inputs']
    assert out['target'] is out['teacher']
    swapped = paired(teacher=RGB | dict(to_rgb=False), target=True)(batch(), training=True)
    assert not torch.equal(swapped['inputs']['target'], swapped['inputs']['teacher'])
    out = paired(student_view='hr')(batch(views=['hr']), training=True)['inputs']
    assert out['student'] is out['teacher']


@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
def test_the_shape_before_padding_is_known_to_isrd(collate):
    data = batch(collate=collate, pack=PackPairedInputs(meta_keys=()))
    out = paired(RGB | dict(pad_size_divisor=32), target=True)(data, training=True)
    assert [sample.img_shape for sample in out['data_samples']] == [(30, 30)] * CLASSES
    assert out['inputs']['target'].shape[-2:] == (64, 64)


# Mixed batches


@pytest.mark.parametrize('ratio', ['3/2', 2])
def test_mixup_is_drawn_once_and_is_mmpretrains(ratio):
    """Each view is, to the bit, what the stock preprocessor makes of it with the same draw."""
    preprocessor = paired(stock(MIXUP, **RGB), OTHER, ratio, target=True)
    set_random_seed(1)
    out = preprocessor(batch(ratio), training=True)
    state = np.random.get_state()[2], torch.get_rng_state()
    sides = dict(student=('lr', RGB), teacher=('hr', OTHER), target=('hr', RGB))
    for name, (view, normalisation) in sides.items():
        set_random_seed(1)
        alone = stock(MIXUP, **normalisation)(batch(ratio, [view]), training=True)
        assert np.random.get_state()[2] == state[0] and torch.equal(torch.get_rng_state(), state[1])
        assert torch.equal(out['inputs'][name], alone['inputs'])
        if name == 'student':
            assert_same(of_student(out), alone)


@pytest.mark.parametrize('collate', [default_collate, pseudo_collate])
@pytest.mark.parametrize('augments', [MIXUP, CUTMIX])
@pytest.mark.parametrize('ratio', ['3/2', 2])
def test_mixed_pictures_of_one_grey_each(ratio, augments, collate):
    """Picture i is 20 (i + 1) all over, so that the scores tell what it is mixed to."""
    preprocessor = paired(stock(augments), {}, ratio)
    for _ in range(5):
        data = batch(ratio, images=[grey(i) for i in range(CLASSES)], collate=collate)
        out = preprocessor(data, training=True)
        scores = torch.stack([sample.gt_score for sample in out['data_samples']])
        assert (scores.count_nonzero(dim=1) <= 2).all()
        means = scores @ (20.0 * torch.arange(1, CLASSES + 1))
        for images in out['inputs'].values():
            torch.testing.assert_close(images.mean((1, 2, 3)), means, rtol=0, atol=1e-3)
            if augments is MIXUP:
                torch.testing.assert_close(images, means.view(-1, 1, 1, 1).expand_as(images))
            else:
                assert not (images % 20).any()
        assert_is_area_mean(out['inputs']['student'], out['inputs']['teacher'], ratio, 1e-3)


def assert_is_area_mean(small, large, ratio, tolerance):
    k = Fraction(ratio)
    fine = large.repeat_interleave(k.denominator, -1).repeat_interleave(k.denominator, -2)
    mean = F.avg_pool2d(fine, k.numerator)
    assert (small - mean).abs().max() <= tolerance


@pytest.mark.parametrize('augments', [MIXUP, CUTMIX])
@pytest.mark.parametrize('ratio', ['3/2', 2])
def test_the_mixed_small_image_shows_the_mixed_large_one(ratio, augments):
    preprocessor = paired(stock(augments), {}, ratio)
    for _ in range(5):
        out = preprocessor(batch(ratio), training=True)
        assert_is_area_mean(out['inputs']['student'], out['inputs']['teacher'], ratio, 0.502)


@pytest.mark.parametrize('augments', [MIXUP, CUTMIX])
def test_views_of_equal_size_are_mixed_as_one_of_them_alone(augments):
    data = batch(2, enlarge=2)
    set_random_seed(2)
    out = paired(stock(augments, **RGB), OTHER, ratio=1)(data, training=True)
    for name, view, normalisation in (('student', 'lr', RGB), ('teacher', 'hr', OTHER)):
        set_random_seed(2)
        alone = stock(augments, **normalisation)(batch(2, [view], enlarge=2), training=True)
        assert_same(dict(out, inputs=out['inputs'][name]), alone)


@pytest.mark.parametrize('augments', [MIXUP, CUTMIX])
def test_where_both_sides_read_one_view_mixing_is_mmpretrains(augments):
    preprocessor = paired(stock(augments, **RGB), stock(**OTHER), student_view='hr')
    set_random_seed(2)
    out = preprocessor(batch(views=['hr']), training=True)
    for name, normalisation in dict(student=RGB, teacher=OTHER).items():
        set_random_seed(2)
        alone = stock(augments, **normalisation)(batch(views=['hr']), training=True)
        assert_same(dict(out, inputs=out['inputs'][name]), alone)


def test_mixing_may_leave_a_batch_alone():
    augments = dict(augments=MIXUP['augments'], probs=[0.0])
    out = paired(stock(augments, **RGB), OTHER)(batch(), training=True)
    alone = stock(**RGB, to_onehot=True)(batch(views=['lr']), training=True)
    assert torch.equal(out['inputs']['student'], alone['inputs'])
    scores = torch.stack([sample.gt_score for sample in out['data_samples']])
    assert torch.equal(scores, torch.eye(CLASSES))


def test_a_teachers_batch_augmentation_is_left_out():
    teacher = OTHER | dict(batch_augments=dict(augments=[dict(type='ResizeMix', alpha=1.0)]))
    out = paired(teacher=teacher)(batch(), training=True)
    alone = stock(**OTHER)(batch(views=['hr']), training=True)
    assert torch.equal(out['inputs']['teacher'], alone['inputs'])


def test_other_batch_augmentations_are_refused():
    augments = [*MIXUP['augments'], dict(type='ResizeMix', alpha=1.0)]
    with pytest.raises(ValueError, match="ResizeMix can't be applied .* only Mixup and CutMix"):
        paired(dict(batch_augments=dict(augments=augments, probs=[0.5, 0.5])))


# Everything else goes through the student's own


@pytest.mark.parametrize('view', ['hr', 'lr'])
def test_outside_of_training_it_is_the_students_own(view):
    preprocessor = paired(stock(MIXUP, **RGB), OTHER, student_view=view)
    expected = stock(MIXUP, **RGB)(batch(views=[view]))
    if view == 'lr':
        assert_same(preprocessor(batch()), expected)
    assert_same(preprocessor(batch(views=[view], collate=default_collate)), expected)


def test_an_ordinary_batch_in_training():
    alone = stock(MIXUP, **RGB)
    for preprocessor in (PairedClsDataPreprocessor(alone, 2), alone):
        set_random_seed(0)
        out = preprocessor(batch(views=['lr']), training=True)
        set_random_seed(0)
        assert_same(out, stock(MIXUP, **RGB)(batch(views=['lr']), training=True))
    with pytest.raises(ValueError, match='one view, but training reads .* PackPairedInputs'):
        paired()(batch(views=['lr']), training=True)


def test_it_follows_the_device_and_has_no_state():
    preprocessor = paired(teacher=OTHER, target=True)
    assert not preprocessor.state_dict()
    out = preprocessor.to('meta')(batch(), training=True)
    assert {tensor.device.type for tensor in out['inputs'].values()} == {'meta'}
    assert {sample.gt_label.device.type for sample in out['data_samples']} == {'meta'}


# Bad input


def test_a_ratio_that_is_not_the_datas_is_refused():
    for collate in (default_collate, pseudo_collate):
        with pytest.raises(ValueError, match="data's ratio is 2 .*, but the distiller's is 4"):
            paired(ratio=4)(batch(2, collate=collate), training=True)


def test_a_side_of_another_task_is_refused():
    with pytest.raises(TypeError, match='teacher.*must be a ClsDataPreprocessor; got DetDataPre'):
        paired(teacher=dict(type='mmdet.DetDataPreprocessor'))
