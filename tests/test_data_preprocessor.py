import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import BatchSyncRandomResize, DetDataPreprocessor
from mmdet.registry import MODELS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.model import BaseModel

from pd_mmdet.data_preprocessor import PairedDetDataPreprocessor
from pd_mmdet.transforms import LowResolution, PackPairedDetInputs

RGB = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
CAFFE = dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False)
SIZES = [(67, 93), (80, 71)]


def cfg(divisor=32, normalisation=RGB, **options):
    return dict(
        type='DetDataPreprocessor', pad_size_divisor=divisor, **(dict(normalisation) | options)
    )


def paired(student=None, teacher=None, ratio=2, **options):
    """Of a student and a teacher with the stock preprocessor."""
    return PairedDetDataPreprocessor(student or cfg(), ratio, teacher or cfg(), **options)


def batch(
    ratio=2,
    views=('hr', 'lr'),
    sizes=SIZES,
    objects=(2, 0),
    masks=False,
    channels=(3,),
    levels=256,
    enlarge=1,
):
    samples = []
    for i, ((height, width), number) in enumerate(zip(sizes, objects, strict=True)):
        rng = np.random.RandomState(i)
        corners = rng.uniform(0, 60, (number, 2, 2))
        boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1).astype(np.float32)
        results = dict(
            img=rng.randint(0, levels, (height, width, *channels)).astype(
                np.min_scalar_type(levels - 1)
            ),
            img_id=i,
            img_shape=(height, width),
            ori_shape=(height, width),
            gt_bboxes=HorizontalBoxes(boxes.reshape(-1, 4)),
            gt_bboxes_labels=rng.randint(0, 5, number),
            gt_ignore_flags=np.arange(number) == 1,
        )
        if masks:
            bits = rng.randint(0, 2, (number, height, width), dtype=np.uint8)
            results['gt_masks'] = BitmapMasks(bits, height, width)
        samples.append(PackPairedDetInputs()(LowResolution(ratio, views, enlarge=enlarge)(results)))
    return pseudo_collate(samples)


def of_student(out):
    """Return what the student's own preprocessor would have made."""
    return dict(inputs=out['inputs']['student'], data_samples=out['data_samples'])


def assert_same_samples(found, expected):
    assert len(found) == len(expected)
    for sample, wanted in zip(found, expected, strict=True):
        assert sample.metainfo == wanted.metainfo
        for name in ('gt_instances', 'ignored_instances'):
            assert torch.equal(sample.get(name).bboxes, wanted.get(name).bboxes)
            assert torch.equal(sample.get(name).labels, wanted.get(name).labels)


def assert_same(found, expected):
    assert torch.equal(found['inputs'], expected['inputs'])
    assert_same_samples(found['data_samples'], expected['data_samples'])


# In training, on paired views


@pytest.mark.parametrize('divisors', [(32, 32), (1, 32), (32, 64), (1, 1), (16, 24)])
@pytest.mark.parametrize(
    ('ratio', 'enlarge'), [('5/4', 1), ('3/2', 1), (2, 1), (4, 1), (4, 2), (3, 2), (2, 2)]
)
def test_padded_shapes_are_in_the_ratio_and_suit_both_sides(ratio, enlarge, divisors):
    student, teacher = divisors
    data = batch(ratio, enlarge=enlarge)
    k = Fraction(ratio) / enlarge
    out = paired(cfg(student), cfg(teacher), k)(data, training=True)

    small, large = (tuple(out['inputs'][name].shape[-2:]) for name in ('student', 'teacher'))
    assert large == tuple(k * side for side in small)
    # By trying: the smallest multiple of the student's whose k-fold is one of the teacher's.
    unit = next(d for d in range(student, 10000, student) if (k * d / teacher).denominator == 1)
    for axis in (0, 1):
        longest = max(img.shape[1 + axis] for img in data['inputs']['lr'])
        assert small[axis] == -(-longest // unit) * unit

    for sample, img in zip(out['data_samples'], data['inputs']['lr'], strict=True):
        assert sample.batch_input_shape == small
        assert sample.img_shape == tuple(img.shape[-2:])


@pytest.mark.parametrize('ratio', ['3/2', 2, 4])
def test_each_side_normalises_as_it_does_alone(ratio):
    """The stock preprocessors, padding to what the pair settles on, give the same."""
    data = batch(ratio)
    out = paired(cfg(32), cfg(32, CAFFE), ratio)(data, training=True)
    unit = 64 if ratio == '3/2' else 32
    student = MODELS.build(cfg(unit))(batch(ratio, ['lr']), training=True)
    teacher_unit = int(Fraction(ratio) * unit)
    teacher = MODELS.build(cfg(teacher_unit, CAFFE))(batch(ratio, ['hr']), training=True)
    assert_same(of_student(out), student)
    assert torch.equal(out['inputs']['teacher'], teacher['inputs'])


@pytest.mark.parametrize('channels', [(), (1,), (4,), (6,)])
@pytest.mark.parametrize('levels', [256, 65536])
def test_any_number_of_channels_and_levels(channels, levels):
    data = batch('3/2', channels=channels, levels=levels)
    student, teacher = cfg(mean=[100], std=[50], bgr_to_rgb=False), cfg(mean=[7], std=[2.0])
    teacher['bgr_to_rgb'] = False
    out = paired(student, teacher, '3/2', target=True)(data, training=True)
    sides = dict(student=('lr', 100, 50), teacher=('hr', 7, 2), target=('hr', 100, 50))
    for name, (view, mean, std) in sides.items():
        for padded, img in zip(out['inputs'][name], data['inputs'][view], strict=True):
            number, height, width = img.shape
            assert number == (channels or (1,))[0] and img.float().max() > 0.9 * levels
            expected = (img.float() - mean) / std
            torch.testing.assert_close(padded[:, :height, :width], expected, rtol=0, atol=0)


def test_a_view_that_two_sides_normalise_differently_crosses_to_the_device_once(monkeypatch):
    """The device is ``meta``: what is moved there is a new tensor, what is there stays the same."""
    read = []
    forward = DetDataPreprocessor.forward
    monkeypatch.setattr(
        DetDataPreprocessor,
        'forward',
        lambda self, data, training: read.append(data['inputs']) or forward(self, data, training),
    )
    paired(teacher=cfg(32, CAFFE), target=True).to('meta')(batch(), training=True)
    student, teacher, target = read
    assert {img.device.type for img in student + teacher + target} == {'meta'}
    assert all(one is other for one, other in zip(teacher, target, strict=True))
    assert student[0].shape[-1] * 2 == target[0].shape[-1]


def test_the_callers_samples_are_left_alone():
    data = batch()
    paired()(data, training=True)
    for sample in data['data_samples']:
        assert isinstance(sample.gt_instances.bboxes, HorizontalBoxes)
        assert 'pad_shape' not in sample


@pytest.mark.parametrize('view', ['hr', 'lr'])
def test_sides_that_agree_share_their_tensor(view):
    out = paired(student_view=view, teacher_view=view)(batch(views=[view]), training=True)
    assert out['inputs']['student'] is out['inputs']['teacher']
    assert_same(of_student(out), MODELS.build(cfg())(batch(views=[view]), training=True))


@pytest.mark.parametrize('view', ['hr', 'lr'])
def test_sides_on_one_view_with_other_normalisations(view):
    student, teacher = cfg(32), cfg(48, CAFFE)
    data = batch(views=[view])
    out = paired(student, teacher, student_view=view, teacher_view=view)(data, training=True)
    for name, normalisation in dict(student=RGB, teacher=CAFFE).items():
        alone = MODELS.build(cfg(96, normalisation))(batch(views=[view]), training=True)
        assert torch.equal(out['inputs'][name], alone['inputs'])
        assert_same_samples(out['data_samples'], alone['data_samples'])


@pytest.mark.parametrize('ratio', ['5/4', 2])
@pytest.mark.parametrize('teacher', [cfg(), cfg(32, CAFFE), None])
def test_target_is_hr_in_the_students_normalisation(ratio, teacher):
    data = batch(ratio)
    preprocessor = PairedDetDataPreprocessor(cfg(), ratio, teacher, target=True)
    out = preprocessor(data, training=True)
    target = out['inputs']['target']
    k = Fraction(ratio)
    assert target.shape[-2:] == tuple(k * side for side in out['inputs']['student'].shape[-2:])
    for padded, img in zip(target, data['inputs']['hr'], strict=True):
        _, height, width = img.shape
        mean, std = (torch.tensor(RGB[name]).view(3, 1, 1) for name in ('mean', 'std'))
        torch.testing.assert_close(padded[:, :height, :width], (img.flip(0) - mean) / std)
        assert not padded[:, height:].any() and not padded[..., width:].any()
    assert (target is out['inputs'].get('teacher')) == (teacher == cfg())


def test_target_does_not_change_how_the_student_pads():
    data = batch('5/4')
    alone = MODELS.build(cfg())(batch('5/4', ['lr']), training=True)
    out = PairedDetDataPreprocessor(cfg(), '5/4', target=True)(data, training=True)
    assert_same(of_student(out), alone)


@pytest.mark.parametrize(
    'other',
    [dict(bgr_to_rgb=False), dict(mean=CAFFE['mean']), dict(std=[1, 1, 1]), dict(pad_value=1)],
)
def test_a_tensor_is_shared_only_if_it_is_the_same(other):
    teacher = cfg(**other)
    out = paired(teacher=teacher, student_view='hr')(batch(views=['hr']), training=True)['inputs']
    alone = MODELS.build(teacher)(batch(views=['hr']), training=True)['inputs']
    assert torch.equal(out['teacher'], alone)
    assert not torch.equal(out['teacher'], out['student'])


def test_target_where_the_teacher_reads_lr_too():
    out = paired(teacher_view='lr', target=True)(batch(), training=True)
    assert out['inputs']['teacher'] is out['inputs']['student']
    assert out['inputs']['target'].shape[-2:] == (128, 128)
    assert out['inputs']['student'].shape[-2:] == (64, 64)


def test_without_a_teacher():
    out = PairedDetDataPreprocessor(cfg(), 2)(batch(), training=True)
    assert out['inputs'].keys() == {'student'}
    assert_same(of_student(out), MODELS.build(cfg())(batch(views=['lr']), training=True))


@pytest.mark.parametrize('said', [{}, dict(pad_mask=True)])
def test_masks_are_padded_with_their_view(said):
    """Also where stock pipelines leave nothing to pad, so that no config says it."""
    masked = cfg(**said)
    out = paired(masked, masked)(batch(objects=(3, 1), masks=True), training=True)
    for sample in out['data_samples']:
        masks = sample.gt_instances.masks
        assert (masks.height, masks.width) == out['inputs']['student'].shape[-2:]


# Everything else goes through the student's own


def test_in_testing_only_the_students_view_is_read():
    preprocessor = paired(teacher=cfg(32, CAFFE), ratio='3/2', target=True)
    assert_same(preprocessor(batch('3/2')), MODELS.build(cfg())(batch('3/2', ['lr'])))


@pytest.mark.parametrize('view', ['hr', 'lr'])
def test_an_ordinary_batch_passes_as_without_a_pair(view):
    preprocessor = paired(teacher=cfg(64, CAFFE), target=True)
    assert_same(preprocessor(batch(views=[view])), MODELS.build(cfg())(batch(views=[view])))


def test_an_ordinary_batch_in_training():
    stock = MODELS.build(cfg())(batch(views=['lr']), training=True)
    alone = PairedDetDataPreprocessor(cfg(), 2)(batch(views=['lr']), training=True)
    assert_same(alone, stock)

    both_large = paired(student_view='hr')(batch(views=['hr']), training=True)
    stock = MODELS.build(cfg())(batch(views=['hr']), training=True)
    assert torch.equal(both_large['inputs']['teacher'], stock['inputs'])
    assert_same(of_student(both_large), stock)

    with pytest.raises(ValueError, match='one view, but training reads .*PackPairedDetInputs'):
        paired()(batch(views=['lr']), training=True)


# Resizing whole batches


def resizing(size_divisor=32, interval=1):
    augment = dict(
        type='BatchSyncRandomResize',
        random_size_range=(64, 256),
        size_divisor=size_divisor,
        interval=interval,
    )
    return cfg(batch_augments=[augment])


@pytest.fixture
def first_iteration():
    hub = MessageHub.get_current_instance()
    before = hub.get_info('iter')
    hub.update_info('iter', 0)
    yield
    hub.update_info('iter', before)


@pytest.mark.parametrize('ratio', ['3/2', 2])
def test_batches_are_resized_together(ratio, first_iteration):
    """The student's view goes through exactly what it goes through alone."""
    k = Fraction(ratio)
    unit = 64 if ratio == '3/2' else 32
    both = paired(resizing(unit), cfg(32, CAFFE), ratio, target=True)
    alone = MODELS.build(resizing(unit) | dict(pad_size_divisor=unit))
    random.seed(1)
    outs = [both(batch(ratio), training=True) for _ in range(4)]
    state = random.getstate()
    random.seed(1)
    for out in outs:
        expected = alone(batch(ratio, ['lr']), training=True)
        assert_same(of_student(out), expected)
        small = out['inputs']['student'].shape[-2:]
        for name in ('teacher', 'target'):
            assert out['inputs'][name].shape[-2:] == tuple(k * side for side in small)
    assert random.getstate() == state
    assert len({out['inputs']['student'].shape for out in outs}) > 1


def test_batches_of_one_view_are_resized_once(first_iteration):
    both = paired(resizing(), cfg(32, CAFFE), student_view='hr')
    random.seed(1)
    both(batch(views=['hr']), training=True)
    out, after = (both(batch(views=['hr']), training=True) for _ in range(2))
    assert out['inputs']['student'].shape == out['inputs']['teacher'].shape
    assert out['inputs']['student'].shape != after['inputs']['student'].shape
    alone = MODELS.build(resizing())
    random.seed(1)
    alone(batch(views=['hr']), training=True)
    expected = alone(batch(views=['hr']), training=True)
    assert_same(of_student(out), expected)


def test_a_teachers_batch_augmentation_is_left_out(first_iteration):
    with_it = paired(teacher=resizing())
    for _ in range(3):
        out = with_it(batch(), training=True)
        assert out['inputs']['teacher'].shape == (2, 3, 128, 128)


def test_other_batch_augmentations_are_refused():
    padding = cfg(batch_augments=[dict(type='BatchFixedSizePad', size=(64, 64))])
    with pytest.raises(ValueError, match="BatchFixedSizePad can't be applied to paired views"):
        paired(padding)


def test_sizes_that_do_not_suit_the_ratio_are_refused():
    with pytest.raises(ValueError, match='size_divisor=32.*ratio 3/2.*multiples of 64'):
        paired(resizing(32), ratio=1.5)


# Device and state


def test_it_has_no_state_and_follows_the_model():
    class Model(BaseModel):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            return inputs

    model = Model(data_preprocessor=paired(teacher=cfg(32, CAFFE), target=True))
    assert not model.state_dict()
    assert not list(model.parameters())
    model.to('meta')
    out = model.data_preprocessor(batch(), training=True)
    assert {tensor.device.type for tensor in out['inputs'].values()} == {'meta'}


def test_it_follows_to_by_itself():
    preprocessor = paired(teacher=cfg(32, CAFFE), target=True).to('meta')
    out = preprocessor(batch(), training=True)
    assert {tensor.device.type for tensor in out['inputs'].values()} == {'meta'}
    assert preprocessor(batch())['inputs'].device.type == 'meta'


def test_built_preprocessors_are_taken_and_left_as_they_are():
    student, teacher = MODELS.build(resizing()), MODELS.build(cfg(64, CAFFE))
    options = dict(type='PairedDetDataPreprocessor', ratio=2, student=student, teacher=teacher)
    MODELS.build(options)(batch(), training=False)
    assert (student.pad_size_divisor, teacher.pad_size_divisor) == (32, 64)
    assert isinstance(student.batch_augments[0], BatchSyncRandomResize)
    assert isinstance(student, DetDataPreprocessor)


# Bad input


def test_a_ratio_that_is_not_the_datas_is_refused():
    match = "the data's ratio is 2 .* distiller's is 4: set .* so that ratio / enlarge is 4"
    for training in (True, False):
        with pytest.raises(ValueError, match=match):
            paired(ratio=4)(batch(2), training)


def test_a_view_that_the_batch_lacks_is_named():
    data = batch()
    del data['inputs']['hr']
    match = r"teacher reads view 'hr' but the batch has \['lr'\]: add 'hr' to LowResolution"
    with pytest.raises(ValueError, match=match):
        paired()(data, training=True)
    assert paired()(data, training=False)


def test_a_student_that_reads_hr_is_not_given_annotations_of_lr():
    match = (
        r"the student reads view 'hr' .* annotations of 'lr': set LowResolution\(views=\['hr'\]\)"
    )
    with pytest.raises(ValueError, match=match):
        paired(student_view='hr')(batch(), training=True)


@pytest.mark.parametrize(
    ('options', 'error', 'match'),
    [
        (dict(ratio=0.5), ValueError, 'ratio must be'),
        (dict(student_view='mr'), ValueError, "student_view must be .* got 'mr'"),
        (dict(teacher_view='mr'), ValueError, "teacher_view must be .* got 'mr'"),
        (dict(student_view='hr', target=True), ValueError, "needs student_view='lr'"),
        (dict(teacher=dict(type='BaseDataPreprocessor')), TypeError, 'teacher.*BaseDataPre'),
    ],
)
def test_bad_options_are_refused_when_built(options, error, match):
    with pytest.raises(error, match=match):
        paired(**options)
