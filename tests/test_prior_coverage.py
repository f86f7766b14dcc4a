import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import register_all_modules

from pd_mmdet.prior_coverage import (
    best_ious,
    positive_iou,
    prior_coverage,
    priors_of,
    sufficient_iou,
    suggest_priors,
)

register_all_modules()


def head(assigner: dict | None = None, type: str = 'RetinaHead', **generator):
    generator = dict(type='AnchorGenerator', ratios=[1.0], scales=[4], strides=[8]) | generator
    assigner = assigner or dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4)
    return MODELS.build(
        dict(
            type=type,
            num_classes=1,
            in_channels=4,
            anchor_generator=generator,
            train_cfg=dict(assigner=assigner, sampler=dict(type='PseudoSampler')),
        )
    )


def random_boxes(n: int, width: int, height: int) -> torch.Tensor:
    low, high = torch.rand(2, n, 2).sort(0).values * torch.tensor([width, height])
    return torch.cat([low, high], 1)


def test_one_box_and_one_anchor_by_hand():
    # One cell: the anchor is -16 … 16 in x and y. The box shares 16 × 10 of its 20 × 10 with it.
    box = torch.tensor([[-4.0, 0.0, 16.0, 10.0]])
    small = head(strides=[64], base_sizes=[8])
    assert best_ious(
        small.prior_generator.base_anchors, small.prior_generator.strides, [box], [(64, 64)]
    ) == pytest.approx(200 / 1024)
    assert prior_coverage(small, [box], [(64, 64)]) == 0
    # This one shares 32 × 24 with it: 768 / 1024.
    assert prior_coverage(small, [torch.tensor([[-16.0, -8.0, 16.0, 16.0]])], [(64, 64)]) == 1


@pytest.mark.parametrize(
    'generator',
    [
        dict(ratios=[0.5, 1, 2], octave_base_scale=2, scales_per_octave=2, strides=[8, 16, 32]),
        dict(ratios=[1], scales=[1, 3], strides=[8, 16], center_offset=0.5),
        dict(ratios=[1], scales=[2], strides=[(8, 4)], centers=[(3, 5)]),
    ],
)
def test_the_best_prior_is_found_without_looking_at_all(generator):
    torch.manual_seed(0)
    own = TASK_UTILS.build(dict(type='AnchorGenerator', **generator))
    shapes = [(61, 47), (32, 100), (64, 64)]
    boxes = [random_boxes(40, shape[1], shape[0]) for shape in shapes]
    found = best_ious(own.base_anchors, own.strides, boxes, shapes)
    expected = []
    for box, (height, width) in zip(boxes, shapes):
        grids = [(-(-height // sh), -(-width // sw)) for sw, sh in own.strides]
        priors = torch.cat(own.grid_priors(grids, device='cpu'))
        expected.append(bbox_overlaps(box, priors).amax(1))
    assert torch.allclose(found, torch.cat(expected), atol=1e-6)


def test_a_box_counts_from_the_assigners_positive_iou():
    # The anchor of 32 × 32 on the cell (0, 0) and this box: 32 × 16 / 1024 = 0.5.
    box = [torch.tensor([[-16.0, -8.0, 16.0, 8.0]])]
    strict = dict(type='MaxIoUAssigner', pos_iou_thr=0.6, neg_iou_thr=0.4)
    assert positive_iou(head()) == 0.5
    assert positive_iou(head(strict)) == 0.6
    assert prior_coverage(head(), box, [(64, 64)]) == 1
    assert prior_coverage(head(strict), box, [(64, 64)]) == 0
    assert prior_coverage(head(strict), box, [(64, 64)], iou=0.5) == 1
    uniform = dict(type='UniformAssigner', pos_ignore_thr=0.15, neg_ignore_thr=0.7)
    assert positive_iou(head(uniform)) == 0.15
    untrained = head()
    del untrained.assigner
    assert positive_iou(untrained) == 0.5


@pytest.mark.parametrize('pos_iou_thr, sufficient', [(0.7, 0.5), (0.4, 0.4)])
def test_a_first_stage_is_judged_by_the_proposals_that_the_second_takes(pos_iou_thr, sufficient):
    assigner = dict(type='MaxIoUAssigner', pos_iou_thr=pos_iou_thr, neg_iou_thr=0.3)
    rpn = head(assigner, type='RPNHead')
    assert positive_iou(rpn) == pos_iou_thr
    assert sufficient_iou(rpn) == sufficient
    box = [torch.tensor([[-16.0, -8.0, 16.0, 8.0]])]  # IoU 0.5 with the anchor on cell (0, 0)
    assert prior_coverage(rpn, box, [(64, 64)]) == 1
    assert prior_coverage(rpn, box, [(64, 64)], positive_iou(rpn)) == (pos_iou_thr <= 0.5)
    assert sufficient_iou(head(assigner)) == pos_iou_thr


def test_levels_may_begin_with_the_coarsest():
    """As YOLOv3's do; its anchors belong to half a cell."""
    yolo = MODELS.build(
        dict(
            type='YOLOV3Head',
            num_classes=2,
            in_channels=(4, 4),
            out_channels=(4, 4),
            featmap_strides=(16, 8),
            anchor_generator=dict(
                type='YOLOAnchorGenerator', base_sizes=[[(30, 30)], [(8, 8)]], strides=[16, 8]
            ),
            train_cfg=dict(
                assigner=dict(type='GridAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0)
            ),
        )
    )
    centres = torch.arange(20) * 4.0 + 2  # those of a level of stride 4
    boxes, shapes = [around(centres, 4)], [(80, 80)]
    assert prior_coverage(yolo, [around(centres[::4] + 2, 8)], shapes) == 1
    assert prior_coverage(yolo, boxes, shapes) == 0
    assert suggest_priors(yolo, boxes, shapes) == 'a finer start level of stride 4 (100 %)'


# Points


def point_head(type='FCOSHead', **options):
    cfg = dict(type=type, num_classes=3, in_channels=4, feat_channels=32, stacked_convs=1)
    return MODELS.build(cfg | options)


def small_boxes(n: int, width: int, height: int) -> torch.Tensor:
    corners = torch.rand(n, 2) * torch.tensor([width, height])
    return torch.cat([corners, corners + 30 * torch.rand(n, 2)], 1)


def grids(generator, shape):
    return [(-(-shape[0] // int(y)), -(-shape[1] // int(x))) for x, y in generator.strides]


@pytest.mark.parametrize('offset', [0.0, 0.5])
def test_boxes_that_contain_a_point_are_found_without_looking_at_all(offset):
    torch.manual_seed(0)
    yolox = point_head('YOLOXHead', strides=[8, 16])
    yolox.prior_generator.offset = offset
    shapes = [(61, 47), (32, 100)]
    boxes = [small_boxes(60, shape[1], shape[0]) for shape in shapes]
    inside = []
    for box, shape in zip(boxes, shapes):
        generator = yolox.prior_generator
        points = torch.cat(generator.grid_priors(grids(generator, shape), device='cpu'))
        low, high = box[:, None, :2] < points, points < box[:, None, 2:]
        inside += (low & high).all(-1).any(-1).tolist()
    assert 0.2 < sum(inside) / len(inside) < 0.8
    assert prior_coverage(yolox, boxes, shapes) == pytest.approx(sum(inside) / len(inside))
    assert positive_iou(yolox) is None


@pytest.mark.parametrize('assigner', ['ATSSAssigner', 'TaskAlignedAssigner'])
def test_anchors_whose_assigner_looks_at_places_are_points(assigner):
    """The anchor of 64 × 64 has its centre in the box, or not; their IoU is small."""
    anchors = head(dict(type=assigner, topk=9), scales=[8])
    for x, inside in ((-3.0, 1), (1.0, 0)):
        box = [torch.tensor([[x, x, x + 6, x + 6]])]
        assert prior_coverage(anchors, box, [(64, 64)]) == inside


@pytest.mark.parametrize('type', ['FCOSHead', 'CondInstBboxHead'])
@pytest.mark.parametrize('center_sampling', [False, True])
def test_fcos_counts_boxes_that_a_point_is_assigned_to(type, center_sampling):
    """Written as loops over levels, points and boxes: equations 1 and 2 of its paper."""
    torch.manual_seed(0)
    fcos = point_head(
        type,
        strides=[8, 16],
        regress_ranges=((-1, 24), (24, 1e8)),
        center_sampling=center_sampling,
        norm_on_bbox=True,
    )
    shapes = [(61, 47), (40, 100)]
    boxes = [small_boxes(25, shape[1], shape[0]) for shape in shapes]
    boxes[0] = torch.cat([boxes[0], torch.tensor([[2.0, 2.0, 45.0, 60.0]])])
    found = 0
    for box, shape in zip(boxes, shapes):
        assigned = set()
        areas = ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])).tolist()
        levels = zip(grids(fcos.prior_generator, shape), (8, 16), ((-1, 24), (24, 1e8)))
        for (rows, columns), stride, (low, high) in levels:
            for y in range(rows):
                for x in range(columns):
                    px, py = (x + 0.5) * stride, (y + 0.5) * stride
                    takes = []
                    for i, (x1, y1, x2, y2) in enumerate(box.tolist()):
                        sides = px - x1, py - y1, x2 - px, y2 - py
                        near = max(abs(px - (x1 + x2) / 2), abs(py - (y1 + y2) / 2))
                        if min(sides) <= 0 or not low <= max(sides) <= high:
                            continue
                        if not center_sampling or near < 1.5 * stride:
                            takes.append((areas[i], i))
                    assigned.update([min(takes)[1]] if takes else [])
        found += len(assigned)
    number = sum(map(len, boxes))
    assert 0.2 < found / number < 0.9
    assert prior_coverage(fcos, boxes, shapes) == pytest.approx(found / number)


def test_points_have_finer_levels_but_no_scales():
    boxes = [around(torch.arange(10) * 8.0 + 4, 6)]
    ranges = dict(regress_ranges=((-1, 24), (24, 1e8)))
    for points in (point_head(strides=[8, 16], **ranges), point_head('YOLOXHead', strides=[8, 16])):
        points.prior_generator.offset = 0.0
        assert prior_coverage(points, boxes, [(80, 80)]) == 0
        told = suggest_priors(points, boxes, [(80, 80)])
        assert told == 'a finer start level of stride 4 (100 %)'
    vfnet = point_head('VFNetHead')
    assert prior_coverage(vfnet, boxes, [(80, 80)]) == 0  # its points are at the cells' corners


def test_images_without_boxes_change_nothing_for_points():
    box, none = torch.tensor([[0.0, 0.0, 32.0, 32.0]]), torch.zeros(0, 4)
    for points in (point_head(), point_head('YOLOXHead')):
        assert prior_coverage(points, [none, box, none], [(64, 64), (64, 64), (8, 8)]) == 1
        assert torch.tensor(prior_coverage(points, [none], [(64, 64)])).isnan()


@pytest.mark.parametrize('type', ['SOLOHead', 'CenterNetHead', 'Linear'])
def test_heads_without_anchors_and_points(type):
    options = dict(
        SOLOHead=dict(num_classes=2, in_channels=4, feat_channels=32),
        CenterNetHead=dict(in_channels=4, feat_channels=4, num_classes=2),
        Linear=dict(in_features=1, out_features=1),
    )
    assert priors_of(MODELS.build(dict(options[type], type=type))) is None
    assert priors_of(None) is None


def test_images_without_boxes_change_nothing():
    box, none = torch.tensor([[0.0, 0.0, 32.0, 32.0]]), torch.zeros(0, 4)
    assert prior_coverage(head(), [none, box, none], [(64, 64), (64, 64), (8, 8)]) == 1
    assert torch.tensor(prior_coverage(head(), [none], [(64, 64)])).isnan()


def around(centre: torch.Tensor, side: float) -> torch.Tensor:
    return torch.stack([centre - side / 2] * 2 + [centre + side / 2] * 2, 1)


def squares(side: float, n: int = 10) -> tuple[list[torch.Tensor], list[tuple[int, int]]]:
    """Boxes centred on cells of stride 8."""
    return [around(torch.arange(n) * 8.0, side)], [(8 * n, 8 * n)]


@pytest.mark.parametrize(
    ('side', 'suggestion'),
    # The anchor's side is 32: it halves a square of 22.6 or 45.3. Where two changes would do, the
    # smaller one is named.
    [(20, '2.83'), (17, '2.83'), (15, '2'), (8, '1'), (60, '5.66'), (80, '8')],
)
def test_the_smallest_change_of_the_scale_is_named(side, suggestion):
    octave = head(scales=None, octave_base_scale=4, scales_per_octave=1)
    assert suggest_priors(octave, *squares(side)) == f'octave_base_scale={suggestion} (100 %)'
    plain = head(scales=[4])
    assert suggest_priors(plain, *squares(side)) == f'scales=[{suggestion}] (100 %)'


def test_a_finer_start_level_is_named_where_no_scale_is_enough():
    # Squares of side 4, 4 apart: those between the cells of stride 8 meet no anchor there.
    boxes = [around(torch.arange(20) * 4.0, 4)]
    coarse = head(strides=[8, 16], scales=[1])
    assert prior_coverage(coarse, boxes, [(80, 80)]) == 0
    suggestion = suggest_priors(coarse, boxes, [(80, 80)])
    assert suggestion == 'a finer start level of stride 4 (100 %)'


def test_the_best_change_is_named_where_none_is_enough():
    boxes = torch.cat([squares(20)[0][0], squares(1)[0][0]])
    suggestion = suggest_priors(head(scales=[4]), [boxes], [(80, 80)])
    assert suggestion == 'scales=[2.83] (50 %)'


def test_no_change_is_named_where_none_helps():
    long = [torch.tensor([[0.0, 30.0, 80.0, 34.0]])]
    suggestion = suggest_priors(head(), long, [(80, 80)])
    assert suggestion == 'nothing among other scales and a finer start level (0 %)'
