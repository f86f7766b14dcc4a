import pickle
import random
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.models import DetDataPreprocessor
from mmdet.registry import HOOKS, MODELS
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import InstanceData

import pd_mmdet
from pd_mmdet.checkpoint import load_data
from tests.helpers.hostile import Touch

GLYPHS = ('O', 'Q', 'C', 'G', 'E', 'F', '1', 'I', '7', 'T')
HOOK = dict(type='TeacherHook')
# Of 32 and of 64 channels: the term has an adapter.
PKD = dict(student='backbone[0]', teacher='backbone[1]', loss=dict(type='PearsonLoss'), weight=1.0)


class Oracle(BaseModel):
    """Finds every object of the images that it is shown, or none; draws a number for each."""

    def __init__(self, finds: bool = True, shift: int = 0) -> None:
        super().__init__(DetDataPreprocessor())
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.finds, self.shift = finds, shift
        self.seen = []

    def forward(self, inputs, data_samples, mode):
        torch.rand(1)
        (sample,) = data_samples
        self.seen.append((Path(sample.img_path).name, tuple(inputs.shape[-2:])))
        found = [one for one in sample.instances if self.finds]
        labels = [(one['bbox_label'] + self.shift) % len(GLYPHS) for one in found]
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor([one['bbox'] for one in found]).reshape(-1, 4),
            scores=torch.ones(len(found)),
            labels=torch.tensor(labels, dtype=torch.long),
        )
        return data_samples


def try_teacher(runner: Runner, teacher: BaseModel | None = None, **options) -> None:
    """The hook alone: nothing is trained."""
    if teacher is not None:
        runner.model.teacher.model = teacher
    HOOKS.build(HOOK | options).before_train(runner)


def saved(tmp_path: Path, name: str = 'run') -> Path:
    return tmp_path / name / 'iter_2.pth'


# What the teacher is tried on.


def test_a_run_says_how_good_its_teacher_is(distiller, make_runner, log_of):
    runner = make_runner('run', distiller, [HOOK])
    runner.train()
    assert 'teacher on 4 validation images (hr): AP 0.' in log_of(runner)
    assert 'THE TEACHER FINDS ALMOST NOTHING' in log_of(runner)


def test_a_perfect_teacher(distiller, make_runner, log_of):
    runner, oracle = make_runner('run', distiller, []), Oracle()
    try_teacher(runner, oracle)
    assert 'teacher on 4 validation images (hr): AP 100.0, AP50 100.0' in log_of(runner)
    assert 'NOTHING' not in log_of(runner)
    assert [shape for _, shape in oracle.seen] == [(96, 96)] * 4
    # The validation's own pipeline yields what it did.
    assert runner.val_loop.dataloader.dataset[0]['inputs'].shape[-2:] == (48, 48)
    assert 'instances' not in runner.val_loop.dataloader.dataset[0]['data_samples']


def test_a_useless_teacher_is_said_aloud(distiller, make_runner, log_of):
    runner = make_runner('run', distiller, [])
    try_teacher(runner, Oracle(finds=False))
    (line,) = [line for line in log_of(runner).splitlines() if 'ALMOST NOTHING' in line]
    assert 'WARNING' in line
    assert 'teacher.pth' in line and 'classes in this order' in line


def test_a_teacher_with_other_labels_is_told_from_a_useless_one(distiller, make_runner, log_of):
    runner = make_runner('run', distiller, [])
    try_teacher(runner, Oracle(shift=1))
    (line,) = [line for line in log_of(runner).splitlines() if 'OTHER CLASSES' in line]
    assert 'WARNING' in line and 'AP50 0.0 (100.0 whatever the class)' in line
    assert 'teacher.pth' in line and 'in another order?' in line
    assert 'NOTHING' not in log_of(runner)


def test_of_several_sets_the_first_is_taken(distiller, make_runner, log_of):
    """They have metainfo of their own, so that MMDetection has a list of these."""
    runner, oracle = make_runner('run', distiller, []), Oracle()
    one = runner._val_dataloader['dataset']
    sets = [one | dict(metainfo=dict(one['metainfo'], place=place)) for place in ('here', 'there')]
    runner._val_dataloader['dataset'] = dict(type='ConcatDataset', datasets=sets)
    try_teacher(runner, oracle)
    assert 'teacher on 4 validation images (hr): AP 100.0, AP50 100.0' in log_of(runner)


def test_images_are_evenly_spaced(distiller, make_runner):
    runner, oracle = make_runner('run', distiller, []), Oracle()
    try_teacher(runner, oracle, num_images=2)
    dataset = runner.val_loop.dataloader.dataset
    names = [Path(dataset.get_data_info(index)['img_path']).name for index in (0, 2)]
    assert [name for name, _ in oracle.seen] == names


def test_a_teacher_that_reads_what_the_student_reads(distiller, make_runner, pipeline, log_of):
    distiller = distiller | dict(view='hr')
    train = pipeline(dict(type='LowResolution', ratio=2, views=('hr',)))
    runner = make_runner('run', distiller, [], train, val=pipeline())
    try_teacher(runner, Oracle())
    assert 'teacher on 4 validation images (hr): AP 100.0' in log_of(runner)


def test_a_wrapped_dataset(distiller, make_runner, log_of):
    runner, oracle = make_runner('run', distiller, []), Oracle()
    dataset = runner._val_dataloader['dataset']
    runner._val_dataloader['dataset'] = dict(type='ConcatDataset', datasets=[dataset])
    try_teacher(runner, oracle)
    assert 'AP 100.0' in log_of(runner)
    assert oracle.seen[0][1] == (96, 96)


def test_really_small_files(distiller, make_runner, pipeline, log_of):
    runner = make_runner('run', distiller, [], val=pipeline())
    try_teacher(runner, Oracle())
    assert (
        'the teacher is not tried: the validation pipeline has no LowResolution, so it returns '
        "the view 'lr' only, but the teacher reads 'hr'" in log_of(runner)
    )


@pytest.mark.parametrize('pack', ['PackDetInputs', 'PackPairedDetInputs'])
def test_a_scale_that_is_not_packed(detector, make_runner, pipeline, pack):
    """Some heads would leave their boxes in the pixels of the small image, and say nothing."""
    low = dict(type='LowResolution', ratio=2, views=['lr'])
    val = [*pipeline(low)[:-1], dict(type=pack, meta_keys=('img_id', 'ori_shape'))]
    runner = make_runner('run', detector, [HOOK], train=pipeline(), val=val)
    message = r"meta_keys=\('img_id', 'ori_shape'\)\) after LowResolution: add 'scale_factor'"
    with pytest.raises(ValueError, match=message):
        runner.train()
    runner = make_runner(
        'test',
        detector,
        [HOOK],
        test_dataloader=runner._val_dataloader | dict(dataset=runner.val_dataloader.dataset),
        test_cfg=dict(),
        test_evaluator=runner._val_evaluator,
    )
    with pytest.raises(ValueError, match=message):
        runner.test()
    val.remove(low)
    try_teacher(make_runner('large', detector, [], train=pipeline(), val=val))


def test_no_validation(distiller, make_runner, log_of):
    runner = make_runner('run', distiller, [], val=[])
    try_teacher(runner, Oracle())
    assert 'the teacher is not tried: there is no val_dataloader' in log_of(runner)


def test_a_plain_detector(detector, make_runner, pipeline, log_of):
    runner = make_runner('run', detector, [HOOK], train=pipeline(), val=[])
    runner.train()
    assert 'the teacher' not in log_of(runner)


def test_random_states_stay(distiller, make_runner):
    runner = make_runner('run', distiller, [])
    runner.model.teacher.model = Oracle()
    _ = runner.train_dataloader, runner.val_loop
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    try_teacher(runner)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert before == after


def test_other_processes_than_the_first_do_not_try(distiller, make_runner, log_of, monkeypatch):
    runner = make_runner('run', distiller, [])
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: 1)
    try_teacher(runner, Oracle())
    assert 'teacher on' not in log_of(runner)


def with_classes(teacher: ConfigDict, tmp_path: Path, meta: dict) -> dict:
    checkpoint = torch.load(teacher.checkpoint, weights_only=True) | dict(meta=meta)
    torch.save(checkpoint, tmp_path / 'classes.pth')
    return teacher | dict(checkpoint=str(tmp_path / 'classes.pth'))


@pytest.mark.parametrize('key', ['dataset_meta', 'old'])
def test_a_teacher_of_other_classes(distiller, teacher, make_runner, tmp_path, key):
    swapped = (*GLYPHS[::-1],)
    meta = dict(CLASSES=swapped) if key == 'old' else dict(dataset_meta=dict(classes=swapped))
    distiller = distiller | dict(teacher=with_classes(teacher, tmp_path, meta))
    with pytest.raises(ValueError, match=r"for the classes \('T', '7',.* has \('O', 'Q', "):
        make_runner('run', distiller, [HOOK]).train()


def test_a_teacher_of_the_same_classes(distiller, teacher, make_runner, tmp_path, log_of):
    meta = dict(dataset_meta=dict(classes=list(GLYPHS)))
    distiller = distiller | dict(teacher=with_classes(teacher, tmp_path, meta))
    runner = make_runner('run', distiller, [HOOK])
    runner.train()
    assert 'teacher on 4' in log_of(runner)


# Resume.


def test_the_checkpoint_says_what_was_trained(distiller, make_runner, tmp_path):
    runner = make_runner('run', distiller, [HOOK])
    runner.train()
    checkpoint = load_data(saved(tmp_path))
    assert checkpoint['teacher'] == dict(fingerprint=runner.model.teacher.fingerprint)
    assert runner.model.teacher.fingerprint
    assert checkpoint['pd_mmdet'] == dict(
        version=pd_mmdet.__version__,
        distiller='AFPDistiller',
        view='lr',
        ratio='2',
        teacher_fingerprint=runner.model.teacher.fingerprint,
    )


@pytest.mark.parametrize('version', ['0.1', 'now'])
def test_resume_with_the_same_teacher_and_with_another(
    distiller, teacher, make_runner, tmp_path, version
):
    make_runner('run', distiller, [HOOK]).train()
    if version == '0.1':
        checkpoint = load_data(saved(tmp_path))
        del checkpoint['pd_mmdet']
        torch.save(checkpoint, saved(tmp_path))
    options = dict(load_from=str(saved(tmp_path)), resume=True)
    make_runner('same', distiller, [HOOK], **options).train()

    weights = torch.load(teacher.checkpoint, weights_only=True)
    weights['state_dict']['bbox_head.retina_cls.bias'] += 1
    torch.save(weights, teacher.checkpoint)
    with pytest.raises(ValueError, match='teacher.pth changed since .* restore that file'):
        make_runner('changed', distiller, [HOOK], **options).train()


# Initial weights.


def test_a_distillers_checkpoint_gives_the_detector_only(distiller, make_runner, tmp_path, log_of):
    stage_1 = distiller | dict(terms=dict(pkd=PKD))
    make_runner('run', stage_1, [HOOK]).train()
    trained = load_data(saved(tmp_path))['state_dict']
    assert any(name.startswith('distill.pkd.') for name in trained)

    runner = make_runner('next', stage_1, [HOOK], load_from=str(saved(tmp_path)))
    own = {
        name: value.clone()
        for name, value in runner.model.state_dict().items()
        if name.startswith('distill.')
    }
    runner.call_hook('before_run')
    runner.load_or_resume()
    state = runner.model.state_dict()
    assert own and all(torch.equal(state[name], own.get(name, trained[name])) for name in state)
    number = len(state) - len(own)
    assert f'{number} of the {number} weights of the model are in' in log_of(runner)


def test_an_average_of_another_training_stays_there(distiller, make_runner, tmp_path):
    # MMPretrain's hook, at its configs' priority and listed first, takes averages without resume.
    pytest.importorskip('mmpretrain')
    average = dict(type='mmpretrain.EMAHook', momentum=0.5, priority='ABOVE_NORMAL')
    stage_1 = distiller | dict(terms=dict(pkd=PKD))
    make_runner('run', stage_1, [average, HOOK]).train()
    assert 'ema_state_dict' in load_data(saved(tmp_path))
    options = dict(load_from=str(saved(tmp_path)))
    runner = make_runner('next', distiller, [average, HOOK], **options)
    runner.call_hook('before_run')
    runner.load_or_resume()
    wanted = load_data(saved(tmp_path))['state_dict']
    (hook,) = (hook for hook in runner.hooks if hasattr(hook, 'ema_model'))
    for model in (runner.model, hook.ema_model.module):
        for name, value in model.state_dict().items():
            assert name.startswith('distill.') or torch.equal(value, wanted[name]), name


def test_weights_that_do_not_fit_at_all(distiller, make_runner, tmp_path):
    torch.save(dict(state_dict={'layer.weight': torch.ones(2)}), tmp_path / 'other.pth')
    runner = make_runner('run', distiller, [HOOK], load_from=str(tmp_path / 'other.pth'))
    with pytest.raises(ValueError, match="none of the 1 weights .* such as 'layer.weight'"):
        runner.train()


def test_weights_without_a_state_dict_and_with_a_wrappers_prefix(
    detector, make_runner, pipeline, tmp_path, log_of
):
    weights = MODELS.build(deepcopy(detector)).state_dict()
    part = {f'module.{name}': value for name, value in weights.items() if 'backbone' in name}
    torch.save(part, tmp_path / 'part.pth')
    runner = make_runner(
        'run', detector, [HOOK], pipeline(), [], load_from=str(tmp_path / 'part.pth')
    )
    runner.call_hook('before_run')
    runner.load_or_resume()
    assert f'{len(part)} of the {len(weights)} weights' in log_of(runner)
    name = 'backbone.conv1.weight'
    assert torch.equal(runner.model.state_dict()[name], weights[name])


@pytest.mark.parametrize('resume', [False, True])
def test_a_hostile_checkpoint(detector, make_runner, pipeline, tmp_path, resume):
    path = tmp_path / 'hostile.pth'
    path.write_bytes(pickle.dumps(dict(state_dict={}, meta=Touch(tmp_path / 'made'))))
    options = dict(load_from=str(path), resume=resume)
    with pytest.raises(ValueError, match='hostile.pth'):
        make_runner('run', detector, [HOOK], pipeline(), [], **options).train()
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize('later', [False, True])
def test_data_of_another_ratio(distiller, make_runner, pipeline, later):
    own, other = (pipeline(dict(type='LowResolution', ratio=ratio)) for ratio in (2, 3))
    switch = dict(type='PipelineSwitchHook', switch_epoch=1, switch_pipeline=other)
    hooks, train = ([switch], own) if later else ([], other)
    runner = make_runner('run', distiller, hooks, train=train, val=[])
    match = r'ratio=2, but .* LowResolution\(ratio=3, enlarge=1\): .* or set ratio=3 of the dist'
    with pytest.raises(ValueError, match=match):
        try_teacher(runner, Oracle())


def test_data_whose_views_have_the_ratio_of_the_distiller(distiller, make_runner, pipeline):
    fits, other = (
        pipeline(dict(type='LowResolution', ratio=4, enlarge=enlarge)) for enlarge in (2, 4)
    )
    try_teacher(make_runner('fits', distiller, [], train=fits, val=[]), Oracle())
    runner = make_runner('other', distiller, [], train=other, val=[])
    with pytest.raises(ValueError, match=r'ratio=4, enlarge=4\): .* ratio / enlarge is 2'):
        try_teacher(runner, Oracle())
