"""Mixed precision by MMEngine's AmpOptimWrapper: bfloat16 on a CPU, float16 on a GPU."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import set_random_seed
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from pd_mmdet.distillers.terms.base import StepOutputs, TermProbe
from pd_mmdet.distillers.terms.feature import FeatureTerm
from pd_mmdet.distillers.terms.logits import LogitTerm
from tests.helpers import two_stage
from tests.helpers.tiny import BOX, CLS, PKD, batch, build, distiller, retinanet, save

NECKS = dict(student='neck', teacher='neck', weight=1.0)
TERMS = dict(
    pkd=PKD,
    cwd=dict(NECKS, loss=dict(type='ChannelWiseKLLoss')),
    mse=dict(NECKS, loss=dict(type='MSELoss')),
    cls=CLS,
    box=dict(BOX, loss=dict(type='DenseHeadBoxLoss', score_thr=0.0)),
)
LOWER = dict(cpu=torch.bfloat16, cuda=torch.float16)
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason='float16 needs a GPU')


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=NEEDS_GPU)])
def device(request, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == 'cpu':
        # AmpOptimWrapper refuses to be made without a GPU; it works without one.
        amp = 'mmengine.optim.optimizer.amp_optimizer_wrapper'
        monkeypatch.setattr(f'{amp}.is_cuda_available', lambda: True)
        monkeypatch.setattr('mmengine.runner.amp.get_device', lambda: 'cpu')
    return request.param


@pytest.fixture
def model(device: str, tmp_path: Path) -> nn.Module:
    """A distiller with all kinds of terms on feature maps and dense heads."""
    teacher = retinanet(first=8, channels=16)
    teacher = dict(cfg=teacher, checkpoint=save(teacher, tmp_path / 'teacher.pth'))
    model = build(distiller(teacher=teacher, terms=TERMS, isrd=dict(weight=1.0)))
    model.init_weights()
    return model.to(device).train()


def wrapped(model: nn.Module, amp: bool, device: str) -> OptimWrapper:
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    if not amp:
        return OptimWrapper(optimiser)
    # What tools/train.py --amp asks for; bfloat16 has no need of it.
    scale = 'dynamic' if device == 'cuda' else dict(enabled=False)
    return AmpOptimWrapper(loss_scale=scale, optimizer=optimiser)


def test_terms_are_those_of_full_precision(model, device):
    full = deepcopy(model)
    wanted = full.train_step(batch(), wrapped(full, False, device))
    found = model.train_step(batch(), wrapped(model, True, device))
    assert found.keys() == wanted.keys()
    for name in (*TERMS, 'isrd'):
        value = found[f'distill_{name}_loss']
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(wanted[f'distill_{name}_loss'].item(), rel=0.05)


def test_both_sides_run_in_lower_precision_and_stay_in_full(model, device):
    seen = []

    def see(module: nn.Module, args: tuple, output: tuple[Tensor, ...]) -> None:
        seen.append(output[0].dtype)

    model.neck.register_forward_hook(see)
    model.teacher.model.neck.register_forward_hook(see)
    first = deepcopy(model.state_dict())
    optim_wrapper = wrapped(model, True, device)
    logs = [model.train_step(batch(seed=seed), optim_wrapper) for seed in range(3)]
    assert seen == [LOWER[device]] * 6
    assert all(torch.isfinite(log['loss']) for log in logs)
    last = model.state_dict()
    for name, value in model.named_parameters():
        assert value.dtype == torch.float32 and value.isfinite().all(), name
    for name in ('backbone.conv1.weight', 'distill.isrd.conv.weight'):
        assert not torch.equal(first[name], last[name]), name
    for value in model.teacher.model.parameters():
        assert value.dtype == torch.float32


class Products(nn.Module):
    """A loss of somebody else's: it takes what it is given, and autocast would round it."""

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return (student.flatten(1) @ teacher.flatten(1).t()).square().mean()


def lower_precision(*shape: int) -> list[Tensor]:
    return [torch.randn(shape).bfloat16() for _ in range(2)]


def probed(outputs: Sequence[Tensor]) -> TermProbe:
    return TermProbe(MODELS, (None, None), tuple(outputs), pixels=(24, 24))


def step(tap: str, outputs: Sequence[Tensor], samples: Sequence = ()) -> StepOutputs:
    student, teacher = outputs
    return StepOutputs({tap: student}, {tap: teacher}, None, list(samples))


@pytest.mark.parametrize(
    'loss', ['ATLoss', 'ChannelWiseKLLoss', 'ICKDLoss', 'PearsonLoss', 'SPLoss', Products]
)
def test_a_loss_of_maps_is_given_float32(loss):
    maps = lower_precision(2, 8, 6, 6)
    term = FeatureTerm(probed(maps), 'neck', 'neck', dict(type=loss), 1.0)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = term(None, step('neck', maps))
    assert found.dtype == torch.float32
    assert found == term.loss(*(each.float() for each in maps))


def test_maps_are_averaged_down_in_float32():
    student, teacher = lower_precision(2, 8, 6, 6)[0], lower_precision(2, 8, 3, 3)[0]
    outputs = (student, teacher)
    term = FeatureTerm(probed(outputs), 'a', 'a', dict(type=Products), 1.0, pooled=True)
    pooled = student.float().unflatten(3, (3, 2)).unflatten(2, (3, 2)).mean((3, 5))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = term(None, step('a', outputs))
    torch.testing.assert_close(found, term.loss(pooled, teacher.float()))


@pytest.mark.parametrize('loss', ['KDLoss', 'DKDLoss', Products])
def test_a_loss_of_logits_is_given_float32(loss):
    logits = lower_precision(2, 5)
    term = LogitTerm(probed(logits), 'head', 'head', dict(type=loss), 1.0)
    labels = torch.tensor([3, 0])
    samples = [BaseDataElement(gt_label=label[None]) for label in labels]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = term(None, step('head', logits, samples))
    assert found.dtype == torch.float32
    wanted = [each.float() for each in logits] + [labels] * term.with_labels
    assert found == term.loss(*wanted)


def test_a_teacher_alone_in_lower_precision_teaches_the_same(tmp_path):
    weights = retinanet(first=8, channels=16)
    file = save(weights, tmp_path / 'teacher.pth')
    seen = {}

    def see(side: str, module: nn.Module, args: tuple, output: tuple[Tensor, ...]) -> None:
        seen[side] = output[0].dtype

    found = []
    for dtype in (None, 'bfloat16'):
        set_random_seed(0)
        teacher = dict(cfg=weights, checkpoint=file, dtype=dtype)
        model = build(distiller(teacher=teacher, terms=TERMS, isrd=dict(weight=1.0)))
        model.init_weights()
        model.neck.register_forward_hook(partial(see, 'student'))
        model.teacher.model.neck.register_forward_hook(partial(see, 'teacher'))
        found.append(model.train().train_step(batch(), wrapped(model, False, 'cpu')))
        assert seen == dict(student=torch.float32, teacher=getattr(torch, dtype or 'float32'))
    full, lower = found
    for name, value in full.items():
        assert lower[name].item() == pytest.approx(value.item(), rel=0.05), name


def test_a_two_stage_teacher_in_lower_precision_teaches_the_same():
    """RoIAlign gets float32: on a CPU it has no bfloat16."""
    student = two_stage.detector()
    found = []
    for dtype in (None, 'bfloat16'):
        set_random_seed(0)
        teacher = dict(cfg=two_stage.assistant(student, 2), dtype=dtype)
        model = build(distiller(student, teacher=teacher, terms=two_stage.TERMS))
        found.append(model.train().train_step(batch(), wrapped(model, False, 'cpu')))
    full, lower = found
    assert lower['distill_rpn_cls_loss'] != full['distill_rpn_cls_loss']
    for name, value in full.items():
        assert lower[name].item() == pytest.approx(value.item(), rel=0.05), name


def test_an_unknown_dtype_is_refused(tmp_path):
    teacher = retinanet(first=8, channels=16)
    teacher = dict(cfg=teacher, checkpoint=save(teacher, tmp_path / 'teacher.pth'), dtype='fp16')
    message = "teacher.dtype='fp16': must be None or one of bfloat16, float16"
    with pytest.raises(ValueError, match=message):
        build(distiller(teacher=teacher))
