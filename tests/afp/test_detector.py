"""Check the assistant beyond the invariants, which test_families.py holds."""

from copy import deepcopy
from fractions import Fraction

import pytest
import torch
from mmdet.models import FasterRCNN, RetinaNet
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.runner import set_random_seed
from mmengine.structures import InstanceData
from torch.testing import assert_close
from torch.utils._pytree import tree_leaves

from pd_mmdet.afp import AFPDetector
from pd_mmdet.taps import Taps
from pd_mmdet.testing.invariants import Pair, check_losses, check_predictions
from pd_mmdet.testing.noise import Annotations, data_samples, images
from tests.helpers.slim import CLASSES, slim

RATIOS = ['3/2', '2', '4']
ratios = pytest.mark.parametrize('ratio', RATIOS)


def build(cfg, ratio='2', kernel='average'):
    """D, and A with D's weights."""
    pair = Pair.build(cfg, Fraction(ratio), Annotations(CLASSES), kernel)
    return pair.student.eval(), pair.assistant.eval()


def preprocess(model, sizes, ratio=1):
    """A batch of noise with images of these sizes times the ratio, padded by the model."""
    sizes = [tuple(int(side * Fraction(ratio)) for side in size) for size in sizes]
    samples = [
        DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
        for size in sizes
    ]
    inputs = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes]
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), training=True)


def shapes(outputs):
    return [tuple(leaf.shape) for leaf in tree_leaves(outputs)]


def level_sides(model, side, paths=('neck', 'neck.afp')):
    with torch.no_grad(), Taps(model, paths) as taps:
        model.extract_feat(torch.randn(1, 3, side, side))
    return [[feat.shape[-1] for feat in taps.outputs[path]] for path in paths]


# ---------------------------------------------------------------- features


@ratios
@pytest.mark.parametrize('kernel', ['average', 'centred'])
@pytest.mark.parametrize('divisor', [1, 32])
def test_head_outputs_have_the_students_shapes(ratio, kernel, divisor):
    """Invariant 2 by MMDetection's own ``tensor`` mode."""
    cfg = slim('RetinaNet')
    cfg.data_preprocessor.pad_size_divisor = divisor
    student, assistant = build(cfg, ratio, kernel)
    for sizes in ([(100, 76), (66, 122)], [(102, 76)]):
        small, large = preprocess(student, sizes), preprocess(assistant, sizes, ratio)
        assert large['inputs'].shape[-1] == small['inputs'].shape[-1] * Fraction(ratio)
        with torch.no_grad():
            own, found = student(**small, mode='tensor'), assistant(**large, mode='tensor')
        assert len(own[0]) == 5
        assert shapes(found) == shapes(own)


def test_head_outputs_have_the_students_shapes_at_strides_that_are_no_whole_numbers():
    cfg = slim('RetinaNet')
    cfg.data_preprocessor.pad_size_divisor = 1
    student, assistant = build(cfg, '4/3')
    small, large = preprocess(student, [(99, 75)]), preprocess(assistant, [(99, 75)], '4/3')
    assert shapes(assistant(**large)) == shapes(student(**small))


def test_features_are_the_plain_detectors_rescaled():
    student, assistant = build(slim('RetinaNet'))
    images = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        feats, plain = assistant.extract_feat(images), student.extract_feat(images)
    for feat, own in zip(feats, plain, strict=True):
        expected = torch.nn.functional.avg_pool2d(own, 2, ceil_mode=True)
        torch.testing.assert_close(feat, expected, rtol=1e-4, atol=1e-5)


def test_taps_see_the_features_before_and_after_the_rescale():
    _, assistant = build(slim('RetinaNet'))
    assert level_sides(assistant, 200) == [[25, 13, 7, 4, 2], [13, 7, 4, 2, 1]]


def test_necks_in_a_row_are_rescaled_after_the_last():
    student, assistant = build(slim('LibraRetina'))
    assert isinstance(student.neck, torch.nn.Sequential)
    assert list(student.state_dict()) == list(assistant.state_dict())
    assert level_sides(deepcopy(assistant), 200) == [[25, 13, 7, 4, 2], [13, 7, 4, 2, 1]]


def test_sizes_are_found_once_and_without_a_trace():
    """The try on the small image changes no statistics, modes or random numbers."""
    _, assistant = build(slim('RetinaNet'))
    assistant.train()
    modes = [module.training for module in assistant.modules()]
    buffers = {name: own.clone() for name, own in assistant.named_buffers()}
    state = torch.get_rng_state()
    assistant._small_sizes(torch.randn(1, 3, 128, 192).mul(0))
    assert [module.training for module in assistant.modules()] == modes
    assert all(torch.equal(own, buffers[name]) for name, own in assistant.named_buffers())
    torch.set_rng_state(state)
    assistant.backbone.forward = None  # a second try would fail
    assert assistant._small_sizes(torch.zeros(2, 3, 128, 192))[0] == (8, 12)


def test_images_that_the_ratio_does_not_divide_are_an_error():
    _, assistant = build(slim('RetinaNet'))
    with pytest.raises(ValueError, match=r'\(127, 128\) pixels: ratio=2 does not divide'):
        assistant.extract_feat(torch.zeros(1, 3, 127, 128))


def test_small_images_that_the_student_cannot_read_are_an_error():
    _, assistant = build(slim('SSD'))
    with pytest.raises(RuntimeError, match=r'cannot read small images of .*\(200, 200\) pixels'):
        assistant.extract_feat(torch.zeros(1, 3, 400, 400))


# ---------------------------------------------------------------- pixels


@ratios
def test_invariant_3_zero_deltas_predict_the_students_anchors(ratio):
    """Against the anchors that the student's config describes, worked out here."""
    cfg = slim('RetinaNet')
    cfg.bbox_head.anchor_generator.update(ratios=[1.0], octave_base_scale=2, scales_per_octave=1)
    cfg.test_cfg.update(nms=dict(type='nms', iou_threshold=1.0), max_per_img=10000, nms_pre=10000)
    cfg.bbox_head.num_classes = 1
    _, assistant = build(cfg, ratio)
    for parameter in assistant.bbox_head.parameters():
        parameter.data.zero_()
    ratio = Fraction(ratio)
    side = int(128 * ratio)
    samples = [
        DetDataSample(
            metainfo=dict(
                img_shape=(side, side), batch_input_shape=(side, side), pad_shape=(side, side)
            )
        )
    ]
    with torch.no_grad():
        (found,) = assistant.predict(torch.randn(1, 3, side, side), samples, rescale=False)
    expected = set()
    for stride in (8, 16, 32, 64, 128):
        for y in range(0, 128, stride):
            for x in range(0, 128, stride):
                box = (x - stride, y - stride, x + stride, y + stride)
                expected.add(tuple(float(ratio * min(max(own, 0), 128)) for own in box))
    assert {tuple(box) for box in found.pred_instances.bboxes.tolist()} == expected


def test_it_trains_on_boxes_of_the_large_image_and_leaves_the_samples():
    _, assistant = build(slim('RetinaNet'))
    assert isinstance(assistant, AFPDetector) and isinstance(assistant, RetinaNet)
    batch = preprocess(assistant.train(), [(64, 96)], 2)
    (sample,) = batch['data_samples']
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[20.0, 30, 90, 110]]), labels=torch.tensor([1])
    )
    losses = assistant(**batch, mode='loss')
    sum(tree_leaves(losses)).backward()
    assert all(
        parameter.grad is not None
        for parameter in assistant.parameters()
        if parameter.requires_grad
    )
    assert sample.gt_instances.bboxes.tolist() == [[20, 30, 90, 110]]
    (found,) = assistant.eval()(**batch, mode='predict')
    assert found is sample and len(found.pred_instances)
    assert found.img_shape == found.ori_shape == (128, 192)
    # In pixels of the file, which is the large image here.
    assert found.pred_instances.bboxes[:, 2].max() > 100


def test_rois_are_in_the_students_pixels():
    """The same numbers cut the same features, of the same pyramid."""
    student, assistant = build(slim('FasterRCNN'))
    assert isinstance(assistant, FasterRCNN)
    rois = torch.tensor([[0, 10.0, 12, 60, 70], [0, 0, 0, 120, 120]])
    feats = [torch.randn(1, 32, 32 >> n, 32 >> n) for n in range(4)]
    own, found = (model.roi_head.bbox_roi_extractor(feats, rois) for model in (student, assistant))
    assert torch.equal(own, found)


OPTIONS = {
    'bbox_head.anchor_generator.base_sizes': ([7, 15, 30, 50, 90], None),
    'bbox_head.anchor_generator.centers': ([(4, 4), (8, 8), (16, 15), (30, 30), (60, 60)], None),
    'bbox_head.bbox_coder.add_ctr_clamp': (True, False),
    'bbox_head.bbox_coder.ctr_clamp': (6, 60),
    'train_cfg.allowed_border': (10, -1),
    'train_cfg.assigner.ignore_iof_thr': (0.5, -1),
}


def full_of_pixels() -> ConfigDict:
    """Every option of RetinaNet that is a length in pixels, set."""
    cfg = Config(dict(model=slim('RetinaNet')))
    cfg.merge_from_dict({f'model.{option}': value for option, (value, _) in OPTIONS.items()})
    return cfg.model


@ratios
def test_invariant_4_with_every_option_in_pixels(ratio):
    pair = Pair.build(full_of_pixels(), Fraction(ratio), Annotations(CLASSES))
    check_losses(pair)
    check_predictions(pair)


@pytest.mark.parametrize('option', OPTIONS)
def test_each_of_those_options_matters(option):
    """Without it the student itself does something else on the same pyramid."""
    pair = Pair.build(full_of_pixels(), Fraction(2), Annotations(CLASSES))
    cfg = Config(dict(model=full_of_pixels()))
    cfg.merge_from_dict({f'model.{option}': OPTIONS[option][1]})
    assistant = MODELS.build(dict(type='AFPDetector', detector=cfg.model, ratio=2))
    assistant.load_state_dict(pair.student.state_dict())
    pair.assistant = assistant
    differs = 0
    for check in (check_losses, check_predictions):
        try:
            check(pair)
        except AssertionError:
            differs += 1
    assert differs


def test_min_bbox_size_is_in_pixels_of_the_file():
    cfg = slim('RetinaNet')
    cfg.test_cfg.min_bbox_size = 100
    pair = Pair.build(cfg, Fraction(2), Annotations(CLASSES))
    check_predictions(pair)


# ---------------------------------------------------------------- ratio 1


@pytest.mark.parametrize('family', ['RetinaNet', 'FasterRCNN', 'MaskRCNN'])
def test_at_ratio_1_it_is_the_plain_detector_bit_for_bit(family):
    pair = Pair.build(slim(family), Fraction(1), Annotations(CLASSES, masks='bitmap'))
    found, expected = [], []
    for model, results in ((pair.student, expected), (pair.assistant, found)):
        set_random_seed(0)  # of the images, and of what an RoI head samples
        shapes = [(64, 96), (61, 83)]
        samples = data_samples(shapes, shapes[0], Fraction(1), pair.annotations)
        batch = dict(inputs=images(shapes, Fraction(1)), data_samples=samples)
        batch = model.data_preprocessor(batch, training=True)
        results.append(model.train().loss(batch['inputs'], batch['data_samples']))
        for rescale in (True, False):
            with torch.no_grad():
                predicted = model.eval().predict(*batch.values(), rescale=rescale)
            assert all(len(sample.pred_instances) for sample in predicted)
            results.append([dict(sample.pred_instances.items()) for sample in predicted])
    assert_close(found, expected, rtol=0, atol=0)


# ---------------------------------------------------------------- the built detector


def test_predictions_of_a_file_of_unknown_size_are_refused():
    _, assistant = build(slim('RetinaNet'))
    batch = preprocess(assistant, [(64, 96)], 2)
    batch['data_samples'][0].pop('scale_factor')
    with pytest.raises(ValueError, match="add 'scale_factor' to the meta_keys"):
        assistant(**batch, mode='predict')


def test_a_deep_copy_predicts_the_same():
    """As EMA and the runner make them."""
    _, assistant = build(slim('RetinaNet'), '3/2', 'centred')
    copy = deepcopy(assistant)
    assert type(copy) is type(assistant)
    assert copy.neck.afp is not assistant.neck.afp
    assert repr(copy) == repr(assistant)
    images = torch.randn(1, 3, 96, 192)
    feats, expected = copy.extract_feat(images), assistant.extract_feat(images)
    assert all(map(torch.equal, feats, expected))
    with torch.no_grad():
        copy.bbox_head.retina_cls.bias += 1
    assert not torch.equal(copy.bbox_head.retina_cls.bias, assistant.bbox_head.retina_cls.bias)


def test_config_survives_a_file(tmp_path):
    cfg = dict(type='AFPDetector', detector=slim('RetinaNet'), ratio=1.5, kernel='centred')
    Config(dict(model=cfg)).dump(tmp_path / 'a.py')
    assistant = MODELS.build(Config.fromfile(tmp_path / 'a.py').model)
    assert assistant.neck.afp.ratio == Fraction(3, 2)
    assert assistant.neck.afp.kernel == 'centred'


def test_its_input_stays_as_it_was():
    for cfg in (slim('FasterRCNN'), slim('FasterRCNN').to_dict()):
        before = deepcopy(cfg)
        MODELS.build(dict(type='AFPDetector', detector=cfg, ratio=2))
        assert cfg == before


def test_a_data_preprocessor_beside_the_detector_is_taken_where_it_has_none():
    cfg = slim('RetinaNet')
    preprocessor = cfg.pop('data_preprocessor')
    for given, divisor in ((preprocessor, 64), (None, 1)):
        assistant = MODELS.build(
            dict(type='AFPDetector', detector=cfg, ratio=2, data_preprocessor=given)
        )
        assert getattr(assistant.data_preprocessor, 'pad_size_divisor', 1) == divisor


@pytest.mark.parametrize('ratio', [0, 0.5, '1/2', 1.1, '7/5', 'two', float('nan')])
def test_refuses_a_bad_ratio(ratio):
    with pytest.raises(ValueError, match='ratio must be a fraction'):
        build_with(ratio=ratio)


def test_refuses_a_ratio_that_is_no_number():
    with pytest.raises(TypeError, match='ratio must be a fraction'):
        build_with(ratio=None)


def test_refuses_a_bad_kernel():
    with pytest.raises(ValueError, match="kernel='mean'"):
        build_with(kernel='mean')


def build_with(ratio=2, kernel='average'):
    cfg = dict(type='AFPDetector', detector=slim('RetinaNet'), ratio=ratio, kernel=kernel)
    return MODELS.build(cfg)
