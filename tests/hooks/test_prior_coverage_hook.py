import json
import random
from copy import deepcopy
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from mmdet.registry import HOOKS
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import Config
from mmengine.runner import Runner

HOOK = dict(type='PriorCoverageHook')


def boxes_in(glyphs) -> list[list[float]]:
    """Every training box, x1 y1 x2 y2."""
    annotations = json.loads((glyphs / 'annotations' / 'train.json').read_text())['annotations']
    boxes = [one['bbox'] for one in annotations]
    return [[x, y, x + w, y + h] for x, y, w, h in boxes]


def reached(head: torch.nn.Module, boxes: list[list[float]], side: int, iou: float = 0.5) -> int:
    """Count the boxes that have a prior of this IoU on a square image, by trying all priors."""
    grids = [(-(-side // h), -(-side // w)) for w, h in head.prior_generator.strides]
    priors = torch.cat(head.prior_generator.grid_priors(grids, device='cpu'))
    return int((bbox_overlaps(torch.tensor(boxes), priors).amax(1) >= iou).sum())


def line_of(log: str, words: str) -> str:
    (line,) = [line for line in log.splitlines() if words in line]
    return line


def run_hook(runner: Runner, **options) -> None:
    """The hook alone: nothing is trained."""
    HOOKS.build(HOOK | options).before_train(runner)


def test_a_plain_detector_has_one_line(detector, glyphs, make_runner, pipeline, log_of):
    runner = make_runner('run', detector, [HOOK], train=pipeline(), val=[])
    runner.train()
    boxes = boxes_in(glyphs)
    share = 100 * reached(runner.model.bbox_head, boxes, 96) / len(boxes)
    line = line_of(log_of(runner), 'prior coverage')
    assert (
        f'prior coverage on the image (detector): {share:.0f} % of {len(boxes)} boxes reach '
        'IoU 0.5' in line
    )
    assert 100 * runner.message_hub.get_info('prior_coverage/detector') == pytest.approx(share)


def test_a_distiller_has_a_line_for_each_view(distiller, glyphs, make_runner, log_of):
    runner = make_runner('run', distiller, [HOOK])
    runner.train()
    small = [[side / 2 for side in box] for box in boxes_in(glyphs)]
    share = 100 * reached(runner.model.bbox_head, small, 48) / len(small)
    for side in ('lr (student)', 'hr (teacher)'):
        line = line_of(log_of(runner), f'prior coverage on {side}')
        assert f'{share:.0f} % of {len(small)} boxes reach IoU 0.5' in line


def test_few_covered_boxes_are_a_warning_with_a_suggestion(detector, make_runner, log_of):
    detector = deepcopy(detector)
    detector.bbox_head.anchor_generator.octave_base_scale = 16
    distiller = dict(type='AFPDistiller', student=detector, ratio=2)
    runner = make_runner('run', distiller, [])
    run_hook(runner)
    line = line_of(log_of(runner), 'prior coverage')
    assert 'WARNING' in line and 'lr (student): 0 % of' in line
    assert 'Better priors: octave_base_scale=' in line
    run_hook(runner, threshold=0)
    assert log_of(runner).count('Better priors') == 1


def test_only_some_images_are_read(detector, glyphs, make_runner, pipeline, log_of):
    runner = make_runner('run', detector, [], train=pipeline(), val=[])
    run_hook(runner, num_images=4)
    annotations = json.loads((glyphs / 'annotations' / 'train.json').read_text())
    images = [image['id'] for image in annotations['images']][::3]
    number = sum(one['image_id'] in images for one in annotations['annotations'])
    assert f'% of {number} boxes' in log_of(runner)


def test_ignored_boxes_are_left_out(detector, glyphs, make_runner, pipeline, log_of, tmp_path):
    annotations = json.loads((glyphs / 'annotations' / 'train.json').read_text())
    for one in annotations['annotations'][::2]:
        one['iscrowd'] = 1
    (tmp_path / 'train.json').write_text(json.dumps(annotations))
    runner = make_runner('run', detector, [], train=pipeline(), val=[])
    runner._train_dataloader['dataset']['ann_file'] = str(tmp_path / 'train.json')
    run_hook(runner)
    assert f'% of {len(annotations["annotations"]) // 2} boxes' in log_of(runner)


def test_images_without_boxes(detector, glyphs, make_runner, pipeline, log_of, tmp_path):
    annotations = json.loads((glyphs / 'annotations' / 'train.json').read_text())
    (tmp_path / 'train.json').write_text(json.dumps(annotations | dict(annotations=[])))
    runner = make_runner('run', detector, [], train=pipeline(), val=[])
    runner._train_dataloader['dataset']['ann_file'] = str(tmp_path / 'train.json')
    run_hook(runner)
    assert 'no boxes on 12 training images' in log_of(runner)


def two_stage(detector: dict, scale: int) -> dict:
    """The detector's backbone and neck under an RPN whose assigner asks for IoU 0.7."""
    stock = Path(mmdet.__file__).parent / '.mim' / 'configs' / '_base_' / 'models'
    cfg = Config.fromfile(stock / 'faster-rcnn_r50_fpn.py').model
    cfg.update(backbone=detector['backbone'], neck=detector['neck'])
    strides = detector['bbox_head']['anchor_generator']['strides']
    channels = detector['neck']['out_channels']
    cfg.rpn_head.update(in_channels=channels, feat_channels=channels)
    cfg.rpn_head.anchor_generator.update(strides=strides, scales=[scale])
    cfg.roi_head.bbox_head.update(in_channels=channels, fc_out_channels=8, num_classes=10)
    cfg.roi_head.bbox_roi_extractor.update(out_channels=channels, featmap_strides=strides)
    return cfg


def test_a_first_stage_is_judged_by_its_proposals(detector, glyphs, make_runner, log_of):
    cfg = two_stage(detector, scale=3)
    assistant = dict(type='AFPDetector', detector=cfg, ratio=2)
    runner = make_runner(
        'run', dict(type='AFPDistiller', student=cfg, ratio=2, teacher=dict(cfg=assistant)), []
    )
    run_hook(runner)
    small = [[side / 2 for side in box] for box in boxes_in(glyphs)]
    head = runner.model.rpn_head
    shares = [100 * reached(head, small, 48, iou) / len(small) for iou in (0.5, 0.7)]
    assert shares[0] > shares[1] > 0
    for side in ('lr (student)', 'hr (teacher)'):
        line = line_of(log_of(runner), f'prior coverage on {side}')
        assert f'{shares[0]:.0f} % of {len(small)} boxes reach IoU 0.5, {shares[1]:.0f} %' in line
        assert "the assigner's 0.7" in line
    coarse = make_runner('coarse', two_stage(detector, scale=8), [], val=[])
    coarse.model.teacher, coarse.model.view = None, 'lr'  # reads one view of the two
    run_hook(coarse)
    assert 'Better priors: scales=[' in line_of(log_of(coarse), 'prior coverage')


def point_detector(detector: dict, **head: object) -> dict:
    point = deepcopy(detector)
    point.update(type='FCOS', train_cfg=None)
    point.bbox_head = dict(dict(num_classes=10, in_channels=64, feat_channels=32), **head)
    return point


@pytest.mark.parametrize(
    'head, words',
    [('FCOSHead', 'are assigned a point'), ('AutoAssignHead', 'contain a point')],
)
def test_points(detector, glyphs, make_runner, pipeline, log_of, head, words):
    ranges = ((-1, 1e8), (1e8, 2e8), (2e8, 3e8))
    options = dict(type=head, strides=[4, 8, 16], regress_ranges=ranges)
    runner = make_runner('run', point_detector(detector, **options), [], train=pipeline(), val=[])
    run_hook(runner)
    number = len(boxes_in(glyphs))  # of 12 pixels at least
    assert f'(detector): 100 % of {number} boxes {words}' in log_of(runner)


def test_heads_without_priors_are_left_out(detector, make_runner, log_of):
    solo = point_detector(detector, type='SOLOHead')
    solo = dict(solo, type='SOLO', mask_head=solo.pop('bbox_head'))
    centre = point_detector(detector, type='CenterNetHead')
    for name, cfg, type in (('solo', solo, 'SOLOHead'), ('centre', centre, 'CenterNetHead')):
        # Nothing is read: there is no pipeline that could.
        runner = make_runner(name, cfg, [], train=[dict(type='PackDetInputs')], val=[])
        run_hook(runner)
        told = f'not measured, a {type} has neither anchors nor points'
        assert f'on the image (detector): {told}' in log_of(runner)


def test_training_does_not_notice(distiller, make_runner, pipeline):
    """Every source of chance, and a transform that keeps images of its own."""
    train = pipeline(
        dict(type='CachedMosaic', img_scale=(96, 96), max_cached_images=4, random_pop=True),
        dict(type='RandomFlip', prob=0.5),
        dict(type='LowResolution', ratio=2, degradation=dict(noise=(0, 9))),
    )
    weights = []
    for hooks in ([], [HOOK]):
        runner = make_runner(f'run{len(hooks)}', distiller, hooks, train=train)
        runner.train()
        weights.append(runner.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_random_states_stay(detector, make_runner, pipeline):
    runner = make_runner('run', detector, [], train=pipeline(), val=[])
    _ = runner.train_dataloader, runner.model
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    run_hook(runner)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == after


def test_a_view_that_the_pipeline_does_not_yield(detector, make_runner, pipeline):
    paired = pipeline(dict(type='LowResolution', ratio=2))
    plain = make_runner('plain', detector, [], train=paired, val=[])
    with pytest.raises(ValueError, match=r"detector reads one image, .* returns \['hr', 'lr'\]"):
        run_hook(plain)


def test_a_wrapped_model(distiller, make_runner, log_of):
    runner = make_runner('run', distiller, [])
    runner.model = torch.nn.DataParallel(runner.model)
    run_hook(runner)
    assert 'lr (student)' in log_of(runner) and 'hr (teacher)' in log_of(runner)


def test_other_processes_than_the_first_do_nothing(detector, make_runner, log_of, monkeypatch):
    runner = make_runner('run', detector, [])
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: 1)
    run_hook(runner)
    assert 'prior coverage' not in log_of(runner)


def test_one_image_is_not_taken_for_two_views(distiller, make_runner, pipeline):
    small = pipeline(dict(type='LowResolution', ratio=2, views=['lr']))
    runner = make_runner('run', distiller, [], train=small)
    with pytest.raises(ValueError, match="reads view 'lr', but .* returns one image"):
        run_hook(runner)
