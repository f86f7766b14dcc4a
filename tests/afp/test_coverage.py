import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import register_all_modules

from pd_mmdet.afp.coverage import best_ious, positive_iou, prior_coverage, suggest_priors

register_all_modules()


def head(assigner: dict | None = None, **generator):
    generator = dict(type='AnchorGenerator', ratios=[1.0], scales=[4], strides=[8]) | generator
    assigner = assigner or dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4)
    return MODELS.build(
        dict(
            type='RetinaHead',
            num_classes=2,
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
    atss = head(dict(type='ATSSAssigner', topk=9))
    assert positive_iou(atss) == positive_iou(head()) == 0.5
    assert positive_iou(head(strict)) == 0.6
    assert prior_coverage(head(), box, [(64, 64)]) == 1
    assert prior_coverage(atss, box, [(64, 64)]) == 1
    assert prior_coverage(head(strict), box, [(64, 64)]) == 0


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
