import os
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config

from pd_mmdet.workbench.stages.stage import Stage, plan

SHORT = {'train_cfg.max_iters': 40}


def lengths(stages: list[Stage]) -> dict[str, int]:
    return {stage.name: stage.cfg.train_cfg.max_iters for stage in stages}


def write(stage: Stage, checkpoint: Path) -> Path:
    """Leave what a training leaves at a checkpoint."""
    stage.make_folder()
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.touch()
    (stage.folder / 'last_checkpoint').write_text(str(checkpoint))
    return checkpoint


def finish(stage: Stage) -> None:
    """Leave what a training leaves at its end."""
    write(stage, stage.checkpoint)


def train(monkeypatch: pytest.MonkeyPatch, stage: Stage, until: str) -> Path:
    """Let a stage be trained by a process that ends with a checkpoint of that name."""

    def run(_command: list[str]) -> None:
        write(stage, stage.checkpoints / until)

    monkeypatch.setattr('pd_mmdet.workbench.stages.stage._run', run)
    stage.train()
    return stage.checkpoint


def test_order_and_lengths(recipe, tmp_path):
    stages = plan(recipe, tmp_path, ['baseline', 'ceiling'], cfg_options=SHORT)
    assert lengths(stages) == dict(
        teacher=40, ceiling=40, assistant=40, student=40, baseline=40, baseline_long=120
    )
    assert [stage.name for stage in stages] == list(lengths(stages))
    assert not list(tmp_path.iterdir())


def test_a_given_teacher_does_not_lengthen_the_baseline(recipe, tmp_path):
    given = tmp_path / 'given.pth'
    given.touch()
    stages = plan(recipe, tmp_path, ['baseline'], teacher_checkpoint=given, cfg_options=SHORT)
    assert lengths(stages)['baseline_long'] == 80
    teacher, assistant = stages[:2]
    assert teacher.finished and teacher.checkpoint == given
    assert assistant.cfg.model.teacher.checkpoint == str(given)


def test_configs_find_the_checkpoints_before_them(recipe, tmp_path, monkeypatch):
    monkeypatch.setenv('ASSISTANT_CHECKPOINT', 'mine.pth')
    _, assistant, student = plan(recipe, tmp_path, cfg_options=SHORT)
    assert assistant.cfg.model.teacher.checkpoint == str(tmp_path / 'teacher' / 'iter_40.pth')
    assert student.cfg.model.teacher.checkpoint == str(tmp_path / 'assistant' / 'iter_40.pth')
    assert os.environ['ASSISTANT_CHECKPOINT'] == 'mine.pth'
    assert 'TEACHER_CHECKPOINT' not in os.environ


def test_one_stage_is_planned_after_the_student(recipe, tmp_path):
    stages = plan(recipe, tmp_path, ['one_stage'], cfg_options=SHORT)
    assert [stage.name for stage in stages][-2:] == ['student', 'one_stage']
    assert stages[-1].cfg.model.teacher.checkpoint == str(stages[0].checkpoint)


def test_state_of_a_stage(recipe, tmp_path):
    teacher = plan(recipe, tmp_path, cfg_options=SHORT)[0]
    assert not teacher.finished and teacher.latest is None
    half = write(teacher, teacher.folder / 'iter_20.pth')
    # MMEngine writes the path as it was called then; the folder may have been moved.
    (teacher.folder / 'last_checkpoint').write_text('elsewhere/teacher/iter_20.pth')
    assert not teacher.finished and teacher.latest == half
    assert str(teacher) == 'teacher: 40 iterations, goes on from iter_20.pth'
    finish(teacher)
    assert teacher.finished
    assert str(teacher) == 'teacher: 40 iterations, finished before'
    teacher.checkpoint.unlink()
    assert not teacher.finished


def test_same_settings_fit_their_folder(recipe, tmp_path):
    for stage in plan(recipe, tmp_path, cfg_options=SHORT):
        finish(stage)
    assert all(stage.finished for stage in plan(recipe, tmp_path, cfg_options=SHORT))


def test_other_settings_are_refused(recipe, tmp_path):
    finish(plan(recipe, tmp_path, cfg_options=SHORT)[0])
    with pytest.raises(ValueError) as error:
        plan(recipe, tmp_path, cfg_options={**SHORT, 'optim_wrapper.optimizer.lr': 0.5})
    message = str(error.value)
    assert 'optim_wrapper.optimizer.lr is 0.002 there and 0.5 now' in message
    assert f'{tmp_path / "teacher"} was made' in message and '--work-dir' in message
    with pytest.raises(ValueError, match="randomness.*is 'nothing' there"):
        plan(recipe, tmp_path, cfg_options={**SHORT, 'randomness.seed': 1})


def test_a_stage_older_than_what_it_learned_from_is_refused(recipe, tmp_path):
    teacher, assistant, _ = plan(recipe, tmp_path, cfg_options=SHORT)
    finish(teacher)
    finish(assistant)
    os.utime(teacher.checkpoint, (2e9, 2e9))
    with pytest.raises(ValueError, match='was begun before .*iter_40.pth was written'):
        plan(recipe, tmp_path, cfg_options=SHORT)


def test_a_folder_without_config_is_refused(recipe, tmp_path):
    teacher = plan(recipe, tmp_path, cfg_options=SHORT)[0]
    finish(teacher)
    teacher.config.unlink()
    with pytest.raises(ValueError, match='teacher is there, but not .*teacher.py'):
        plan(recipe, tmp_path, cfg_options=SHORT)


def test_a_deleted_folder_is_made_anew(recipe, tmp_path):
    teacher = plan(recipe, tmp_path, cfg_options=SHORT)[0]
    finish(teacher)
    shutil.rmtree(teacher.folder)
    again = plan(recipe, tmp_path, cfg_options={**SHORT, 'randomness.seed': 1})[0]
    again.make_folder()
    assert Config.fromfile(again.config).randomness.seed == 1


def test_missing_files_are_named(recipe, tmp_path):
    with pytest.raises(FileNotFoundError, match='no recipe folder at .*nowhere'):
        plan(tmp_path / 'nowhere', tmp_path)
    (tmp_path / 'teacher.py').touch()
    with pytest.raises(FileNotFoundError) as error:
        plan(tmp_path, tmp_path, ['ceiling'])
    assert 'has no assistant.py, student.py; it has teacher.py' in str(error.value)
    with pytest.raises(FileNotFoundError, match='--teacher-checkpoint: no file at .*no.pth'):
        plan(recipe, tmp_path, teacher_checkpoint=Path('no.pth'))


EARLY = {
    'custom_hooks': [dict(type='EarlyStoppingHook', monitor='coco/bbox_mAP')],
    'default_hooks.checkpoint.interval': 4,
}


def test_a_stage_that_was_stopped_early(recipe, tmp_path, monkeypatch):
    options = {**SHORT, **EARLY}
    teacher, assistant, _ = plan(recipe, tmp_path, cfg_options=options)
    expected = tmp_path / 'teacher' / 'iter_40.pth'
    assert teacher.checkpoint == expected
    assert str(assistant) == f'assistant: 40 iterations, learns from {expected}'

    # What is killed goes on, …
    killed = write(teacher, teacher.folder / 'iter_8.pth')
    teacher, assistant, _ = plan(recipe, tmp_path, cfg_options=options)
    assert not teacher.finished and teacher.latest == killed and teacher.checkpoint == expected

    # … what has ended does not, and the next stage learns from where it ended.
    stopped = train(monkeypatch, teacher, 'iter_12.pth')
    assert stopped == tmp_path / 'teacher' / 'iter_12.pth' and teacher.finished
    assert assistant.cfg.model.teacher.checkpoint == str(stopped)
    end = train(monkeypatch, assistant, 'iter_28.pth')
    assert Config.fromfile(assistant.config).model.teacher.checkpoint == str(stopped)

    teacher, assistant, student = plan(recipe, tmp_path, cfg_options=options)
    assert teacher.finished and assistant.finished and not student.finished
    assert str(student) == f'student: 40 iterations, learns from {end}'
    assert student.cfg.load_from == student.cfg.model.teacher.checkpoint == str(end)
    assert student.cfg.assistant_checkpoint == str(end)  # a variable, which the folder's config has


def test_a_training_whose_checkpoint_was_deleted_is_not_finished(recipe, tmp_path, monkeypatch):
    teacher = plan(recipe, tmp_path, cfg_options={**SHORT, **EARLY})[0]
    train(monkeypatch, teacher, 'iter_12.pth').unlink()
    assert not teacher.finished

    def killed(_command: list[str]) -> None:
        write(teacher, teacher.folder / 'iter_4.pth')
        raise KeyboardInterrupt

    monkeypatch.setattr('pd_mmdet.workbench.stages.stage._run', killed)
    with pytest.raises(KeyboardInterrupt):
        teacher.train()
    assert teacher.latest and not teacher.finished


def test_the_last_checkpoint_need_not_be_of_the_end(recipe, tmp_path, monkeypatch):
    hook = {'save_last': False, 'interval': 12, 'filename_tmpl': 'net-{}.pt'}
    options = SHORT | {f'default_hooks.checkpoint.{key}': value for key, value in hook.items()}
    teacher, assistant, _ = plan(recipe, tmp_path, cfg_options=options)
    last = tmp_path / 'teacher' / 'net-36.pt'
    assert teacher.checkpoint == last
    write(teacher, last)  # and killed then, before iteration 40
    assert not teacher.finished and 'goes on from net-36.pt' in str(teacher)
    train(monkeypatch, teacher, 'net-36.pt')
    assert teacher.finished and assistant.cfg.model.teacher.checkpoint == str(last)


def test_checkpoints_elsewhere(recipe, tmp_path):
    big, here = tmp_path / 'big', tmp_path / 'here'
    options = SHORT | {'default_hooks.checkpoint.out_dir': str(big)}
    teacher, assistant, _ = plan(recipe, here, cfg_options=options)
    assert teacher.checkpoint == big / 'teacher' / 'iter_40.pth'
    assert assistant.cfg.model.teacher.checkpoint == str(teacher.checkpoint)
    big.mkdir()
    finish(teacher)
    assert plan(recipe, here, cfg_options=options)[0].finished
    # Another work folder would write over them.
    with pytest.raises(ValueError, match='big/teacher, where teacher.py .* of another training'):
        plan(recipe, tmp_path / 'there', cfg_options=options)


def test_load_from_is_handed_over_where_it_is_the_teachers(recipe, tmp_path):
    options = SHORT | {'load_from': 'mine.pth'}
    student = plan(recipe, tmp_path, cfg_options=options)[2]
    assert student.cfg.load_from == 'mine.pth'
    assert student.cfg.model.teacher.checkpoint == str(tmp_path / 'assistant' / 'iter_40.pth')


def test_a_stage_is_stale_when_what_it_learned_from_is_gone(recipe, tmp_path):
    teacher, assistant, _ = plan(recipe, tmp_path, cfg_options=SHORT)
    finish(teacher)
    finish(assistant)
    shutil.rmtree(teacher.folder)
    with pytest.raises(ValueError, match='assistant was begun before .*iter_40.pth was written'):
        plan(recipe, tmp_path, cfg_options=SHORT)


def test_what_would_leave_no_checkpoint_is_said_with_its_file(recipe, tmp_path):
    options = {'default_hooks.checkpoint.by_epoch': True}
    with pytest.raises(ValueError, match='^teacher.py: .*checkpoint.by_epoch must be False'):
        plan(recipe, tmp_path, cfg_options=options)


def test_a_teacher_that_is_not_trained_need_not_leave_a_checkpoint(tmp_path):
    cfg = Config(dict(train_cfg=dict(max_iters=40), default_hooks=dict(checkpoint=None)))
    with pytest.raises(ValueError, match='^teacher.py: default_hooks.checkpoint is None'):
        Stage('teacher', cfg, tmp_path / 'teacher').check()
    given = tmp_path / 'given.pth'
    stage = Stage('teacher', cfg, tmp_path / 'teacher', given=given)
    stage.check()
    assert stage.checkpoint == given


def test_a_stage_without_a_teacher_learns_from_none(recipe, tmp_path):
    with pytest.raises(ValueError, match='^assistant.py: model has no teacher, .* from teacher:'):
        plan(recipe, tmp_path, cfg_options={'model.teacher': None})


def test_stages_of_two_units_have_no_baseline_of_the_same_length(recipe, tmp_path):
    copy = shutil.copytree(recipe, tmp_path / 'a' / 'b' / 'recipe')
    shutil.copytree(recipe.parents[1] / '_base_', tmp_path / 'a' / '_base_')
    with (copy / 'teacher.py').open('a') as file:
        file.write(
            'train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=2)\n'
            'default_hooks = dict(checkpoint=dict(by_epoch=True))\n'
        )
    assert plan(copy, tmp_path / 'work')[0].checkpoint.name == 'epoch_2.pth'
    with pytest.raises(ValueError, match='trains by iterations, teacher.py by epochs'):
        plan(copy, tmp_path / 'work', ['baseline'])
