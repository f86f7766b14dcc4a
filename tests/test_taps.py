import pickle
from copy import deepcopy

import pytest
import torch
from mmdet.models.backbones import ResNet
from torch import nn

from pd_mmdet.taps import Tap, Taps, find_module, unseen


class Toy(nn.Module):
    """A network with two levels, a shared module and a module that overwrites its input."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.levels = Split()
        self.shared = nn.Conv2d(4, 2, 1)
        self.head = nn.Conv2d(2, 1, 1)

    def forward(self, x):
        first, second = self.levels(self.stem(x))
        return self.head(self.shared(first)), self.head(self.shared(second))


class Split(nn.Module):
    def forward(self, x):
        return x, x[..., ::2, ::2]


def images():
    return torch.randn(2, 3, 8, 8)


def count_runs(module):
    runs = []
    module.register_forward_hook(lambda *_: runs.append(1))
    return runs


def hooks(model):
    return [hook for module in model.modules() for hook in module._forward_hooks]


# ---------------------------------------------------------------- reading a tap


@pytest.mark.parametrize(
    'text, path, levels',
    [
        ('neck', 'neck', [0, 1, 2, 3, 4]),
        ('neck.afp[1:]', 'neck.afp', [1, 2, 3, 4]),
        ('neck[:2]', 'neck', [0, 1]),
        ('neck[1:-1]', 'neck', [1, 2, 3]),
        ('neck[-2:]', 'neck', [3, 4]),
        ('neck[:]', 'neck', [0, 1, 2, 3, 4]),
        ('backbone[0]', 'backbone', [0]),
        ('backbone[2]', 'backbone', [2]),
        ('backbone[-1]', 'backbone', [4]),
        ('backbone[-2]', 'backbone', [3]),
        ('backbone.layer1.0.conv1', 'backbone.layer1.0.conv1', [0, 1, 2, 3, 4]),
    ],
)
def test_parse_and_select(text, path, levels):
    tap = Tap.parse(text)
    assert tap.path == path
    assert tap.select((0, 1, 2, 3, 4)) == levels


@pytest.mark.parametrize(
    'text',
    ['', ' ', 'neck[]', 'neck[a]', 'neck[1', 'neck]', 'neck[1:2:3]', 'neck[1-2]', 'neck[-]']
    + ['neck[1,2]', 'neck[1][2]', '[1]', 'neck [1]', 'roi-head', ['neck']],
)
def test_a_text_that_is_no_tap_is_an_error(text):
    with pytest.raises(ValueError, match=r"write a module's path such as 'neck', .*'neck\[1:3\]'"):
        Tap.parse(text)


def test_a_single_map_is_one_level():
    feat = torch.zeros(1, 2, 3, 3)
    (selected,) = Tap.parse('neck').select(feat)
    assert selected is feat
    assert Tap.parse('neck[0]').select(feat)[0] is feat


@pytest.mark.parametrize('text', ['neck[2]', 'neck[5:]', 'neck[1:1]'])
def test_levels_that_are_not_there_are_an_error(text):
    with pytest.raises(ValueError, match="'neck' has 2 levels"):
        Tap.parse(text).select((0, 1))


# ---------------------------------------------------------------- finding the module


def test_find_module():
    model = Toy()
    assert find_module(model, 'head', 'student') is model.head
    assert find_module(model, 'stem.1', 'student') is model.stem[1]


@pytest.mark.parametrize(
    'path, named',
    [
        ('haed', 'head'),  # misspelled
        ('stem.7', 'stem.2, stem.1, stem.0'),  # no such child: those there are
        ('stem.0.conv', 'stem.0'),
        ('', 'stem, levels, shared, head'),
        ('zzz', 'stem, levels, shared, head'),
    ],
)
def test_a_path_that_names_nothing_is_an_error_that_says_what_is_near(path, named):
    with pytest.raises(ValueError) as error:
        find_module(Toy(), path, 'teacher')
    assert f"tap '{path}' names nothing in the teacher; near it:" in str(error.value)
    assert named in str(error.value)


def test_taps_refuse_such_a_path_at_once():
    with pytest.raises(ValueError, match="'necc' names nothing in the student; near it:.*neck"):
        Taps(nn.ModuleDict(dict(neck=nn.Identity())), ['neck', 'necc'], 'student')


# ---------------------------------------------------------------- collecting outputs


def test_outputs_are_the_modules_own():
    model = Toy()
    kept = []
    model.levels.register_forward_hook(lambda module, args, output: kept.append(output))
    with Taps(model, ['levels', 'stem', 'levels']) as taps:
        model(images())
    assert set(taps.outputs) == {'levels', 'stem'}
    assert taps.outputs['levels'] is kept[0]
    assert taps.outputs['stem'] is taps.outputs['levels'][0]
    assert taps.outputs['stem'].requires_grad


def test_a_second_pass_is_tapped_afresh():
    model = Toy()
    taps = Taps(model, ['stem'])
    outputs = []
    for size in (8, 4):
        with taps:
            model(torch.randn(1, 3, size, size))
        outputs.append(taps.outputs['stem'].shape[-1])
    assert outputs == [8, 4]


def test_stop_ends_the_forward_after_the_last_tap():
    model = Toy()
    runs = count_runs(model.shared)
    with Taps(model, ['stem', 'levels'], stop=True) as taps:
        model(images())
        raise AssertionError('the forward pass went on')
    assert not runs
    assert set(taps.outputs) == {'stem', 'levels'}
    assert len(taps.outputs['levels']) == 2


def test_without_stop_the_forward_ends_by_itself():
    model = Toy()
    runs = count_runs(model.shared)
    with Taps(model, ['levels']):
        outputs = model(images())
    assert len(runs) == len(outputs) == 2


@pytest.mark.parametrize('path', ['shared', 'head'])
def test_a_module_that_runs_twice_is_an_error(path):
    model = Toy()
    with pytest.raises(ValueError, match=f"tap '{path}' runs more than once"):
        with Taps(model, [path]):
            model(images())


@pytest.mark.parametrize('stop', [False, True])
def test_an_output_that_is_overwritten_is_an_error(stop):
    model = Toy()
    with pytest.raises(ValueError, match=r"tap 'stem\.1': a later module overwrites its output"):
        with Taps(model, ['stem.1', 'levels'], stop=stop):
            model(images())


def test_a_map_among_several_that_is_overwritten_is_an_error():
    model = nn.Sequential(Split(), nn.Identity())
    model[1].forward = lambda feats: feats[1].mul_(2)
    with pytest.raises(ValueError, match="tap '0'"):
        with Taps(model, ['0']):
            model(images())


def test_the_stem_of_a_resnet():
    """Its batch norm is overwritten by the ReLU, which is the tap to take."""
    model = ResNet(depth=18, base_channels=8)
    with pytest.raises(ValueError, match="tap 'bn1'"):
        with Taps(model, ['bn1']):
            model(torch.randn(2, 3, 32, 32))
    with Taps(model, ['relu']) as taps:
        model(torch.randn(2, 3, 32, 32))
    assert taps.outputs['relu'].shape == (2, 8, 16, 16)


@pytest.mark.parametrize('stop', [False, True])
def test_no_gradient_and_inference_modes(stop):
    model = Toy().eval()
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), Taps(model, ['stem'], stop=stop) as taps:
            model(images())
        assert not taps.outputs['stem'].requires_grad


# ---------------------------------------------------------------- the hooks, which stay


@pytest.mark.parametrize('stop', [False, True])
def test_a_module_keeps_one_hook_which_does_nothing_afterwards(stop):
    model = Toy()
    for _ in range(2):
        with Taps(model, ['stem', 'levels'], stop=stop) as taps:
            model(images())
    assert len(hooks(model)) == 2
    kept = dict(taps.outputs)
    model(images())
    assert all(taps.outputs[path] is output for path, output in kept.items())


def test_what_a_later_hook_makes_of_the_output_is_what_is_tapped():
    model = Toy()
    with Taps(model, ['stem']):
        model(images())
    model.stem.register_forward_hook(lambda *args: args[-1] + 1)
    for _ in range(2):
        with Taps(model, ['levels', 'stem']) as taps:
            model(images())
        assert taps.outputs['levels'][0] is taps.outputs['stem']
    assert len(hooks(model)) == 3


def test_nothing_is_collected_after_an_error_in_the_forward():
    model = Toy()
    taps = Taps(model, ['stem'])
    with pytest.raises(RuntimeError, match='channels'):
        with taps:
            model(torch.randn(1, 5, 8, 8))
    model(images())
    assert not taps.outputs


@pytest.mark.parametrize('copy', [deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_of_a_tapped_model_is_tapped_for_itself(copy):
    model, data = Toy(), images()
    with Taps(model, ['stem']) as taps:
        twin = copy(model)
        twin(data)
        assert not taps.outputs
    assert len(hooks(twin)) == 1
    with Taps(twin, ['stem']) as own:
        model(data)
        assert not own.outputs
        twin(data)
    assert torch.equal(own.outputs['stem'], twin.stem(data))


def test_taps_inside_of_taps():
    """The inner ones see their own pass, the outer ones what they watch of both."""
    model, data = Toy(), images()
    with Taps(model, ['levels']) as outer:
        with Taps(model, ['stem'], stop=True) as inner:
            model(data)
        assert set(inner.outputs) == {'stem'} and not outer.outputs
        model(data)
    assert torch.equal(outer.outputs['levels'][0], model.stem(data))
    assert torch.equal(inner.outputs['stem'], model.stem(data))


def test_an_unseen_pass_is_hidden_from_all_taps():
    model = Toy()
    with Taps(model, ['stem']) as outer, Taps(model, ['levels']) as inner:
        with unseen():
            model(torch.zeros(1, 3, 4, 4))
        assert not outer.outputs and not inner.outputs
        model(images())
    assert outer.outputs['stem'].shape[0] == len(inner.outputs['levels'][0]) == 2


def test_a_model_that_is_compiled_after_its_first_tapping():
    def forward(data):
        with Taps(model, ['stem', 'levels']) as taps:
            model(data)
        return taps.outputs

    model, data = Toy().eval(), images()
    wanted = forward(data)
    compiled = torch.compile(forward, backend='eager')
    for _ in range(2):
        found = compiled(data)
        assert torch.equal(found['stem'], wanted['stem'])
        assert all(map(torch.equal, found['levels'], wanted['levels']))
