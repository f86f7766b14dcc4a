"""The assistant against the student it is made from; invariants 1 to 4 by their numbers.

D is the student's detector on the small image, A its assistant on the large one.
"""

from copy import deepcopy
from fractions import Fraction
from functools import cache
from importlib.util import find_spec

import pytest
import torch
from mmdet.models import RetinaNet
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.structures import InstanceData
from torch.utils._pytree import tree_leaves

from pd_mmdet.afp import AFPDetector, rescale_detector
from pd_mmdet.afp.priors import ANCHOR_HEADS
from pd_mmdet.taps import Taps

RATIOS = ['3/2', '2', '4']
CHANNELS = 32
CLASSES = 4
ZOO = dict(
    RetinaHead='retinanet/retinanet_r18_fpn_1x_coco',
    RetinaSepBNHead='nas_fpn/retinanet_r50_fpn_crop640-50e_coco',
    FreeAnchorRetinaHead='free_anchor/freeanchor_r50_fpn_1x_coco',
    ATSSHead='atss/atss_r50_fpn_1x_coco',
    GFLHead='gfl/gfl_r50_fpn_1x_coco',
    PAAHead='paa/paa_r50_fpn_1x_coco',
)
read = cache(get_config)

needs_sklearn = pytest.mark.skipif(
    find_spec('sklearn') is None, reason="PAAHead's loss fits a mixture with scikit-learn"
)
heads = pytest.mark.parametrize('head', ANCHOR_HEADS)
heads_with_loss = pytest.mark.parametrize(
    'head', [pytest.param(h, marks=needs_sklearn if h == 'PAAHead' else ()) for h in ANCHOR_HEADS]
)
ratios = pytest.mark.parametrize('ratio', RATIOS)


def student_cfg(head='RetinaHead', divisor=32) -> ConfigDict:
    """A detector of the zoo, made slim."""
    cfg = deepcopy(read(f'mmdet::{ZOO[head]}.py').model)
    cfg.backbone = dict(type='ResNet', depth=18, base_channels=8)
    cfg.neck.update(in_channels=[8, 16, 32, 64], out_channels=CHANNELS)
    cfg.bbox_head.update(
        num_classes=CLASSES, in_channels=CHANNELS, feat_channels=CHANNELS, stacked_convs=1
    )
    cfg.bbox_head.anchor_generator = dict(
        type='AnchorGenerator',
        strides=[8, 16, 32, 64, 128],
        ratios=[0.5, 1.0, 2.0] if 'Retina' in head else [1.0],
        octave_base_scale=4,
        scales_per_octave=3 if 'Retina' in head else 1,
    )
    if head == 'FreeAnchorRetinaHead':
        # Anchors inside of a box are all equally good; rounding must not choose among them.
        cfg.bbox_head.pre_anchor_topk = 8
    cfg.data_preprocessor.update(pad_size_divisor=divisor, batch_augments=None)
    return cfg


def build_pair(cfg, ratio, kernel='average'):
    """D, and A with D's weights; the head's are random enough to find something everywhere."""
    student = MODELS.build(cfg)
    for name, parameter in student.bbox_head.named_parameters():
        if parameter.dim() > 1:
            gain = 0.1 if name.endswith('_reg.weight') else 0.5  # boxes stay inside of the image
            torch.nn.init.normal_(parameter, std=gain / parameter[0].numel() ** 0.5)
        elif name.endswith('bias'):
            torch.nn.init.zeros_(parameter)
    assistant = MODELS.build(rescale_detector(cfg, ratio, kernel))
    assistant.load_state_dict(student.state_dict())
    return student, assistant


def shapes(outputs):
    return [tuple(leaf.shape) for leaf in tree_leaves(outputs)]


def times(shape, ratio):
    """A shape in pixels (or boxes), ``ratio`` times as large."""
    if isinstance(shape, torch.Tensor):
        return shape * float(Fraction(ratio))
    scaled = tuple(side * Fraction(ratio) for side in shape)
    assert all(side.denominator == 1 for side in scaled)
    return tuple(int(side) for side in scaled)


def preprocess(model, sizes):
    """A batch of noise with images of these sizes, as the model's own preprocessor pads it."""
    data = dict(
        inputs=[torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes],
        data_samples=[
            DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
            for size in sizes
        ],
    )
    return model.data_preprocessor(data, training=True)


# ---------------------------------------------------------------- invariant 1


@heads
@ratios
def test_invariant_1_weights_pass_both_ways(head, ratio):
    cfg = student_cfg(head)
    student = MODELS.build(cfg)
    assistant = MODELS.build(rescale_detector(cfg, ratio))
    own, other = student.state_dict(), assistant.state_dict()
    assert list(own) == list(other)
    assert shapes(own) == shapes(other)
    assistant.load_state_dict(own, strict=True)
    student.load_state_dict(other, strict=True)
    assert [name for name, _ in student.named_parameters()] == [
        name for name, _ in assistant.named_parameters()
    ]


# ---------------------------------------------------------------- invariant 2

SIZES = {'3/2': [(100, 76), (66, 122)], '2': [(101, 75), (67, 123)], '4': [(101, 75), (67, 123)]}


@heads
@ratios
def test_invariant_2_head_outputs_have_one_shape(head, ratio):
    assert_same_shapes(student_cfg(head), ratio, SIZES[ratio])


@ratios
@pytest.mark.parametrize('kernel', ['average', 'centred'])
@pytest.mark.parametrize('divisor', [1, 32])
def test_invariant_2_for_both_kernels_and_any_padding(ratio, kernel, divisor):
    cfg = student_cfg(divisor=divisor)
    assert_same_shapes(cfg, ratio, SIZES[ratio], kernel)
    assert_same_shapes(cfg, ratio, SIZES[ratio][:1], kernel)


def test_invariant_2_for_strides_that_are_no_whole_numbers():
    assert_same_shapes(student_cfg(divisor=1), '4/3', [(99, 75), (66, 123)])


def assert_same_shapes(cfg, ratio, sizes, kernel='average'):
    student, assistant = build_pair(cfg, ratio, kernel)
    small = preprocess(student, sizes)
    large = preprocess(assistant, [times(size, ratio) for size in sizes])
    assert large['inputs'].shape[-2:] == times(small['inputs'].shape[-2:], ratio)
    outputs, expected = (
        model.eval()(**batch, mode='tensor')
        for model, batch in ((assistant, large), (student, small))
    )
    assert len(expected[0]) == 5
    assert shapes(outputs) == shapes(expected)


# ---------------------------------------------------------------- invariant 3


@heads
@ratios
def test_invariant_3_priors_are_the_students_times_the_ratio(head, ratio):
    student, assistant = build_pair(student_cfg(head), ratio)
    small, large = student.bbox_head.prior_generator, assistant.bbox_head.prior_generator
    sizes = [(13, 16), (7, 8), (4, 4), (2, 2), (1, 1)]
    own, other = (each.grid_priors(sizes, device='cpu') for each in (small, large))
    for priors, expected in zip(other, own, strict=True):
        torch.testing.assert_close(priors, times(expected, ratio))
    pad_shape = (78, 114)
    flags = large.valid_flags(sizes, times(pad_shape, ratio), device='cpu')
    expected = small.valid_flags(sizes, pad_shape, device='cpu')
    assert not expected[0].all()
    assert all(map(torch.equal, flags, expected))


# ---------------------------------------------------------------- invariant 4

PYRAMID = [(20, 24), (10, 12), (5, 6), (3, 3), (2, 2)]
BATCH = (160, 192)
IMAGES = [((150, 182), (160, 192)), ((122, 158), (128, 160)), ((160, 192), (160, 192))]
# No box is centred between anchors: those would be equally good, and rounding would choose.
GROUND_TRUTH = [
    [[20.3, 30.9, 54.2, 61.7], [90.4, 11.1, 152.9, 82.3], [5.2, 9.7, 141.6, 133.8]],
    [[40.1, 51.3, 74.7, 90.2], [2.9, 3.4, 69.2, 73.3], [32.3, 4.9, 153.4, 119.6]],
    [],
]
IGNORED = [[[61.3, 93.2, 112.1, 144.7]], [], [[3.3, 2.1, 187.9, 151.4]]]


def data_samples(ratio=1):
    """Images of three sizes in one batch, the last without objects."""
    samples = []
    for (img_shape, pad_shape), boxes, ignored in zip(IMAGES, GROUND_TRUTH, IGNORED, strict=True):
        sample = DetDataSample(
            metainfo=dict(
                img_shape=times(img_shape, ratio),
                pad_shape=times(pad_shape, ratio),
                batch_input_shape=times(BATCH, ratio),
                scale_factor=(0.125 * float(Fraction(ratio)),) * 2,
            )
        )
        sample.gt_instances, sample.ignored_instances = (
            InstanceData(
                bboxes=times(torch.tensor(each).reshape(-1, 4), ratio),
                labels=torch.arange(len(each)),
            )
            for each in (boxes, ignored)
        )
        samples.append(sample)
    return samples


def pyramid():
    return [torch.randn(len(IMAGES), CHANNELS, *size) for size in PYRAMID]


def losses_and_gradients(model, feats, ratio=1):
    """Losses of a pyramid, and their sum's and the box loss's gradients in it."""
    torch.manual_seed(1)
    feats = [feat.clone().requires_grad_() for feat in feats]
    losses = {
        k: sum(tree_leaves(v)) for k, v in model.bbox_head.loss(feats, data_samples(ratio)).items()
    }
    box_loss = losses.get('loss_bbox', losses.get('positive_bag_loss'))
    box_gradients = torch.autograd.grad(box_loss, feats, retain_graph=True)
    return losses, torch.autograd.grad(sum(losses.values()), feats), box_gradients


def assert_same_losses(student, assistant, ratio):
    feats = pyramid()
    losses, gradients, box_gradients = losses_and_gradients(student, feats)
    # A level learns boxes only if it has positives: the head has no path from level to level.
    assert sum(gradient.abs().sum() > 0 for gradient in box_gradients) >= 3
    assert all(value > 0 for value in losses.values())
    found, found_gradients, _ = losses_and_gradients(assistant, feats, ratio)
    torch.testing.assert_close(found, losses, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found_gradients, gradients, rtol=1e-3, atol=1e-5)


def predict(model, feats, ratio=1, rescale=False):
    with torch.no_grad():
        return model.eval().bbox_head.predict(feats, data_samples(ratio), rescale=rescale)


def assert_same_boxes(found, expected):
    assert expected.isfinite().all(1).sum() > 20
    # PAA's voting makes NaN of boxes without area: those of priors in the padding.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-2, equal_nan=True)


def assert_same_predictions(student, assistant, ratio):
    feats = pyramid()
    expected = predict(student, feats)
    for found, own in zip(predict(assistant, feats, ratio), expected, strict=True):
        torch.testing.assert_close(found.scores, own.scores)
        assert torch.equal(found.labels, own.labels)
        assert_same_boxes(found.bboxes, times(own.bboxes, ratio))
    # In the coordinates of the file both are the same boxes.
    pairs = zip(predict(assistant, feats, ratio, True), predict(student, feats, rescale=True))
    for found, own in pairs:
        assert_same_boxes(found.bboxes, own.bboxes)


@heads_with_loss
@ratios
def test_invariant_4_losses_are_equal(head, ratio):
    assert_same_losses(*build_pair(student_cfg(head), ratio), ratio)


@heads
@ratios
def test_invariant_4_predictions_are_the_students_times_the_ratio(head, ratio):
    assert_same_predictions(*build_pair(student_cfg(head), ratio), ratio)


def cfg_full_of_pixels() -> ConfigDict:
    """Every option of RetinaNet that is a length in pixels."""
    cfg = student_cfg()
    cfg.bbox_head.anchor_generator.update(
        base_sizes=[7, 15, 30, 50, 90],
        centers=[(4, 4), (8.0, 8), (16, 15), (30, 30), (60, 60)],
    )
    cfg.bbox_head.bbox_coder.update(add_ctr_clamp=True, ctr_clamp=6)
    cfg.train_cfg.update(allowed_border=10)
    cfg.train_cfg.assigner.ignore_iof_thr = 0.5
    return cfg


WITHOUT = {
    'train_cfg.allowed_border': -1,
    'train_cfg.assigner.ignore_iof_thr': -1,
    'bbox_head.anchor_generator.base_sizes': None,
    'bbox_head.anchor_generator.centers': None,
    'bbox_head.bbox_coder.add_ctr_clamp': False,
}


@ratios
def test_invariant_4_with_every_option_in_pixels(ratio):
    student, assistant = build_pair(cfg_full_of_pixels(), ratio)
    assert_same_losses(student, assistant, ratio)
    assert_same_predictions(student, assistant, ratio)


@pytest.mark.parametrize('option', WITHOUT)
def test_each_of_those_options_matters(option):
    """Without it the student itself does something else on the same pyramid."""
    cfg = Config(dict(model=cfg_full_of_pixels()))
    student, _ = build_pair(deepcopy(cfg.model), 2)
    cfg.merge_from_dict({f'model.{option}': WITHOUT[option]})
    other = MODELS.build(cfg.model)
    other.load_state_dict(student.state_dict())
    feats = pyramid()
    losses, others = (losses_and_gradients(model, feats)[0] for model in (student, other))
    boxes, other_boxes = (
        torch.cat([found.bboxes for found in predict(model, feats)]) for model in (student, other)
    )
    assert losses != others or not torch.equal(boxes, other_boxes)


def test_invariant_4_min_bbox_size_is_in_pixels_of_the_file():
    cfg = student_cfg()
    cfg.test_cfg.update(min_bbox_size=200)
    student, assistant = build_pair(cfg, 2)
    feats = pyramid()
    expected = predict(student, feats, rescale=True)
    for found, own in zip(predict(assistant, feats, 2, rescale=True), expected, strict=True):
        sides = own.bboxes[:, 2:] - own.bboxes[:, :2]
        assert 200 < sides.min() < 400
        assert_same_boxes(found.bboxes, own.bboxes)
        assert torch.equal(found.labels, own.labels)


# ---------------------------------------------------------------- the built detector


def test_it_is_the_students_detector_and_trains_and_predicts():
    _, assistant = build_pair(student_cfg(), 2)
    assert isinstance(assistant, AFPDetector) and isinstance(assistant, RetinaNet)
    batch = preprocess(assistant, [(128, 192)])
    batch['data_samples'][0].gt_instances = InstanceData(
        bboxes=torch.tensor([[20.0, 30, 90, 110]]), labels=torch.tensor([1])
    )
    losses = assistant(**batch, mode='loss')
    sum(tree_leaves(losses)).backward()
    assert all(parameter.grad is not None for parameter in assistant.parameters())
    (found,) = assistant.eval()(**batch, mode='predict')
    assert len(found.pred_instances)


def test_a_deep_copy_predicts_the_same():
    """As EMA and the runner make them."""
    _, assistant = build_pair(student_cfg(), '3/2', 'centred')
    copy = deepcopy(assistant.eval())
    assert type(copy) is type(assistant)
    assert copy.neck.afp is not assistant.neck.afp
    assert repr(copy) == repr(assistant)
    batch = preprocess(assistant, [(96, 144)])
    feats, expected = copy.extract_feat(batch['inputs']), assistant.extract_feat(batch['inputs'])
    assert all(map(torch.equal, feats, expected))
    with torch.no_grad():
        copy.bbox_head.retina_cls.bias += 1
    assert not torch.equal(copy.bbox_head.retina_cls.bias, assistant.bbox_head.retina_cls.bias)


def tapped_shapes(assistant, side):
    with torch.no_grad(), Taps(assistant, ['neck', 'neck.afp']) as taps:
        assistant.extract_feat(torch.randn(1, 3, side, side))
    return [[feat.shape[-1] for feat in taps.outputs[path]] for path in ('neck', 'neck.afp')]


def test_taps_see_the_features_before_and_after_the_rescale():
    _, assistant = build_pair(student_cfg(), 2)
    assert tapped_shapes(assistant, 200) == [[25, 13, 7, 4, 2], [13, 7, 4, 2, 1]]


def test_necks_in_a_row_are_rescaled_after_the_last():
    cfg = student_cfg()
    bfp = dict(type='BFP', in_channels=CHANNELS, num_levels=5, refine_level=1)
    cfg.neck = [cfg.neck, bfp]
    assert_same_shapes(cfg, 2, SIZES['2'])
    student, assistant = build_pair(cfg, 2)
    assert list(student.state_dict()) == list(assistant.state_dict())
    assert tapped_shapes(deepcopy(assistant), 200) == [[25, 13, 7, 4, 2], [13, 7, 4, 2, 1]]


def test_features_are_the_plain_detectors_rescaled():
    student, assistant = build_pair(student_cfg(divisor=1), 2)
    images = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        feats, plain = assistant.eval().extract_feat(images), student.eval().extract_feat(images)
    for feat, own in zip(feats, plain, strict=True):
        expected = torch.nn.functional.avg_pool2d(own, 2, ceil_mode=True)
        torch.testing.assert_close(feat, expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- rescale_detector


def test_config_survives_a_file(tmp_path):
    Config(dict(model=rescale_detector(student_cfg(), 1.5, 'centred'))).dump(tmp_path / 'a.py')
    assistant = MODELS.build(Config.fromfile(tmp_path / 'a.py').model)
    assert assistant.neck.afp.ratio == Fraction(3, 2)
    assert assistant.neck.afp.kernel == 'centred'


def test_its_input_stays_as_it_was():
    for cfg in (student_cfg(), student_cfg().to_dict()):
        before = deepcopy(cfg)
        MODELS.build(rescale_detector(cfg, 2))
        assert cfg == before


@pytest.mark.parametrize(
    'name, what',
    {
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco': 'FasterRCNN',
        'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco': 'FCOSHead',
        'ssd/ssd300_coco': 'SSDHead',
        'yolox/yolox_s_8xb8-300e_coco': 'YOLOXHead',
    }.items(),
)
def test_refuses_other_detectors_by_name(name, what):
    with pytest.raises(NotImplementedError, match=f"AFP of .*'{what}'"):
        rescale_detector(read(f'mmdet::{name}.py').model, 2)


@pytest.mark.parametrize('ratio', [1, 0.5, '1/2', 1.1, '7/5', 'two', float('nan')])
def test_refuses_a_bad_ratio(ratio):
    with pytest.raises(ValueError, match='ratio must be a fraction'):
        rescale_detector(student_cfg(), ratio)


def test_refuses_a_ratio_that_is_no_number():
    with pytest.raises(TypeError, match='ratio must be a fraction'):
        rescale_detector(student_cfg(), None)


def test_refuses_a_bad_kernel():
    with pytest.raises(ValueError, match="kernel='mean'"):
        rescale_detector(student_cfg(), 2, 'mean')


def test_refuses_a_detector_without_neck():
    cfg = student_cfg()
    cfg.neck = None
    with pytest.raises(ValueError, match="'RetinaNet': the detector has no neck"):
        MODELS.build(rescale_detector(cfg, 2))
