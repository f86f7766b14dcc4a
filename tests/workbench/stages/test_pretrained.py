"""Pretrained weights that do not reach their network are refused before anything is trained."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS

from pd_mmdet.workbench.stages.pretrained import check_pretrained
from pd_mmdet.workbench.stages.stage import Stage, plan


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file like those of ImageNet's weights for MMDetection's MobileNetV2."""
    network = MODELS.build(dict(type='MobileNetV2', widen_factor=0.25))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    file = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=network.state_dict(), meta=dict(epoch=1)), file)
    return file


def student(recipe: Path, tmp_path: Path, network: str, **options: object) -> Stage:
    """The undistilled student with another backbone and its pretrained weights."""
    stages = plan(recipe, tmp_path / 'work', ['baseline'])
    stage = next(stage for stage in stages if stage.name == 'baseline')
    cfg = stage.read.copy()
    init_cfg = dict(type='Pretrained', **options)
    cfg.model.backbone = dict(type=network, widen_factor=0.25, init_cfg=init_cfg)
    return replace(stage, read=cfg)


def test_weights_that_fit_are_accepted_and_tried_once(recipe, weights, tmp_path, capsys):
    stage = student(recipe, tmp_path, 'MobileNetV2', checkpoint=str(weights))
    check_pretrained([stage, stage])
    assert capsys.readouterr().out.count('Trying the pretrained weights of baseline') == 1


def test_weights_within_a_detector_are_found_by_their_prefix(recipe, weights, tmp_path):
    tensors = torch.load(weights, weights_only=True)['state_dict']
    detector = tmp_path / 'detector.pth'
    torch.save({f'backbone.{name}': tensor for name, tensor in tensors.items()}, detector)
    options = dict(checkpoint=str(detector), prefix='backbone.')
    check_pretrained([student(recipe, tmp_path, 'MobileNetV2', **options)])


def test_a_file_with_a_second_set_of_weights_is_accepted(recipe, weights, tmp_path):
    checkpoint = torch.load(weights, weights_only=True)
    other = {name: torch.zeros_like(one) for name, one in checkpoint['state_dict'].items()}
    torch.save(dict(checkpoint, ema_state_dict=other), weights)
    check_pretrained([student(recipe, tmp_path, 'MobileNetV2', checkpoint=str(weights))])


def test_weights_for_another_librarys_names_are_refused(recipe, weights, tmp_path):
    """Both libraries have a MobileNetV2 with tensors of the same shapes and other names."""
    stage = student(recipe, tmp_path, 'mmpretrain.MobileNetV2', checkpoint=str(weights))
    message = (
        r'baseline.py: model.backbone.init_cfg: .*weights.pth has \d+% of the weights of '
        r"mmpretrain.MobileNetV2, .*: 'layer1.0.conv.0.conv.weight' of the network .*"
        r"'layer1.0.depthwise_conv.conv.weight' of the file"
    )
    with pytest.raises(ValueError, match=message):
        check_pretrained([stage])


def test_a_missing_file_is_named(recipe, tmp_path):
    stage = student(recipe, tmp_path, 'MobileNetV2', checkpoint='nowhere/weights.pth')
    message = 'baseline.py: model.backbone.init_cfg: .*nowhere/weights.pth'
    with pytest.raises(ValueError, match=message):
        check_pretrained([stage])


def test_a_finished_stage_needs_no_file(recipe, tmp_path):
    stage = student(recipe, tmp_path, 'MobileNetV2', checkpoint='nowhere/weights.pth')
    checkpoint = tmp_path / 'given.pth'
    checkpoint.touch()
    check_pretrained([replace(stage, given=checkpoint)])
