import shutil
from pathlib import Path

import pytest

from pd_mmdet.workbench.suites.runs import plan, seconds_left
from pd_mmdet.workbench.suites.suite import Suite, read_suite
from tests.helpers import ROOT

RECIPE = 'retinanet_r34-r18_glyphs_k2'


def names(runs):
    return [(run.row, run.seed) for run in runs]


def finish(run, seconds: float) -> None:
    """Leave what a finished training leaves."""
    run.stage.make_folder()
    run.stage.checkpoint.touch()
    (run.stage.folder / 'last_checkpoint').write_text(str(run.stage.checkpoint))
    (run.stage.folder / 'seconds.txt').write_text(str(seconds))


def test_parts_then_seeds_then_rows(suite_file, tmp_path):
    runs = plan(read_suite(suite_file), tmp_path / 'work')
    first = ['assistant', 'baseline_long', 'ours']
    assert names(runs) == [
        ('teacher', 1),
        *((row, seed) for seed in (1, 2) for row in first),
        *((row, seed) for seed in (1, 2) for row in ('pkd', 'no_weights')),
    ]
    assert not (tmp_path / 'work').exists()


def test_configs_say_the_row_the_seed_and_whom_they_learn_from(suite_file, tmp_path):
    runs = {(run.row, run.seed): run.stage for run in plan(read_suite(suite_file), tmp_path)}
    teacher = str(tmp_path / RECIPE / 'seed1' / 'teacher' / 'iter_40.pth')
    for seed in (1, 2):
        assistant = str(tmp_path / RECIPE / f'seed{seed}' / 'assistant' / 'iter_40.pth')
        ours, pkd = runs['ours', seed].cfg, runs['pkd', seed].cfg
        assert ours.randomness.seed == pkd.randomness.seed == seed
        assert runs['assistant', seed].cfg.model.teacher.checkpoint == teacher
        assert pkd.model.teacher.checkpoint == teacher
        assert ours.model.teacher.checkpoint == ours.load_from == assistant
        assert runs['no_weights', seed].cfg.load_from is None
        assert runs['no_weights', seed].cfg.model == ours.model
        assert {*pkd.model.terms} == {'pkd'} and pkd.model.isrd is None


def test_a_long_row_is_as_long_as_others_together(suite_file, tmp_path):
    runs = plan(read_suite(suite_file), tmp_path, rows=['baseline_long'])
    assert names(runs) == [('baseline_long', 1), ('baseline_long', 2)]
    cfg = runs[0].stage.cfg
    assert cfg.train_cfg.max_iters == 3 * 40 and cfg.param_scheduler[0].end == 100


def test_chosen_rows_come_with_what_they_learn_from(suite_file, tmp_path):
    runs = plan(read_suite(suite_file), tmp_path, seeds=[2], rows=['ours'])
    assert names(runs) == [('teacher', 1), ('assistant', 2), ('ours', 2)]


def with_rows(suite_file, rows: str, parts: str) -> Suite:
    """The suite with more rows, and with other parts."""
    text, _, _ = suite_file.read_text().partition('parts =')
    suite_file.write_text(f'{text}rows = dict({rows})\nparts = [{parts}]\n')
    return read_suite(suite_file)


ENLARGED = "enlarged_untrained_k2=dict(variant='_mine')"


@pytest.fixture
def enlarged(suite_file, tmp_path) -> Suite:
    """A suite whose recipe has a variant; the variant's baseline has another weight decay."""
    shipped = ROOT / 'configs' / 'retinanet' / RECIPE
    for name in (RECIPE, f'{RECIPE}_mine'):
        (tmp_path / name).mkdir()
    for name in ('teacher', 'ceiling', 'baseline'):
        (tmp_path / RECIPE / f'{name}.py').write_text(f"_base_ = '{shipped / name}.py'\n")
    (tmp_path / f'{RECIPE}_mine' / 'baseline.py').write_text(
        f"_base_ = '{shipped}/baseline.py'\noptim_wrapper = dict(clip_grad=dict(max_norm=7))\n"
    )
    rows = ['ceiling', 'baseline', 'enlarged_untrained_k2']
    part = f"dict(title='a', recipe='{tmp_path / RECIPE}', rows={rows})"
    return with_rows(suite_file, ENLARGED, part)


def test_a_variant_is_another_config_of_the_same_recipe(enlarged, tmp_path):
    *_, plain, untrained = plan(enlarged, tmp_path / 'work', seeds=[2])
    assert untrained.recipe == plain.recipe == RECIPE
    assert untrained.stage.folder == tmp_path / 'work' / RECIPE / 'seed2' / 'enlarged_untrained_k2'
    assert untrained.stage.cfg.optim_wrapper.clip_grad.max_norm == 7
    assert plain.stage.cfg.optim_wrapper.clip_grad.max_norm != 7


def test_a_variant_without_a_folder_is_refused(enlarged, tmp_path):
    shutil.rmtree(tmp_path / f'{RECIPE}_mine')
    with pytest.raises(
        FileNotFoundError, match=f"variant='_mine', but there .* at .*{RECIPE}_mine"
    ):
        plan(enlarged, tmp_path / 'work')


def test_a_row_that_trains_nothing_waits_for_its_weights(enlarged, tmp_path):
    def planned():
        return plan(enlarged, tmp_path / 'work', seeds=[1], rows=['enlarged_untrained_k2'])

    ceiling, untrained = planned()
    assert names(planned()) == [('ceiling', 1), ('enlarged_untrained_k2', 1)]
    assert not untrained.stage.finished
    assert str(untrained).endswith(f'not trained here, checkpoint: {ceiling.stage.checkpoint}')
    finish(ceiling, 20)
    ceiling, untrained = planned()
    assert untrained.stage.finished and untrained.stage.checkpoint == ceiling.stage.checkpoint
    assert seconds_left([ceiling, untrained]) == 0
    ceiling.stage.checkpoint.unlink()
    assert not untrained.stage.finished
    assert seconds_left(planned()) is None


def test_other_recipes_are_not_run_for_chosen_rows(suite_file, tmp_path):
    first = ROOT / 'configs' / 'retinanet' / RECIPE
    other = ROOT / 'configs' / 'retinanet' / 'retinanet_r34-r18_bccd_k2'
    parts = [
        f"dict(title='a', recipe='{first}', rows=['teacher', 'assistant', 'pkd'])",
        f"dict(title='b', recipe='{other}', rows=['teacher', 'assistant'])",
    ]
    suite = with_rows(suite_file, '', ', '.join(parts))
    assert {run.recipe for run in plan(suite, tmp_path, rows=['pkd'])} == {RECIPE}


def test_one_training_serves_two_recipes(enlarged, suite_file, tmp_path):
    """Where the config is the same, as a teacher's often is; not where it only has the name."""
    ceiling = (tmp_path / RECIPE / 'ceiling.py').read_text()
    (tmp_path / f'{RECIPE}_mine' / 'ceiling.py').write_text(ceiling)
    rows = {RECIPE: ['ceiling', 'baseline'], f'{RECIPE}_mine': ['ceiling', 'baseline', 'more']}
    parts = [f"dict(title='a', recipe='{tmp_path / name}', rows={rows[name]})" for name in rows]
    more = "more=dict(config='baseline', text='more', weights_of='ceiling')"
    suite = with_rows(suite_file, more, ', '.join(parts))

    def folders(**chosen):
        runs = plan(suite, tmp_path / 'work', seeds=[2], **chosen)
        return {run[:2]: run.stage.folder.relative_to(tmp_path / 'work') for run in runs}

    planned = folders()
    assert [*planned] == [(name, row) for name in rows for row in rows[name]]
    for name, row in planned:
        home = RECIPE if row == 'ceiling' else name
        assert planned[name, row] == Path(home, 'seed2', row)
    assert folders(rows=['more']) == dict([*planned.items()][2::2])


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(seeds=[3]), '--seeds 3: the suite has 1, 2'),
        (dict(rows=['mine']), '--rows mine: the suite has teacher, '),
        (dict(cfg_options={'randomness.seed': 3}), 'the suite sets the seeds'),
        (dict(cfg_options={'max_iters': 3}), 'would have no effect'),
    ],
)
def test_what_cannot_be_chosen_is_refused(suite_file, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        plan(read_suite(suite_file), tmp_path, **options)


def test_a_folder_of_another_training_is_refused(suite_file, tmp_path):
    finish(plan(read_suite(suite_file), tmp_path)[0], 10)
    with pytest.raises(ValueError, match='optim_wrapper.optimizer.lr is 0.002 there and 0.5 now'):
        plan(read_suite(suite_file), tmp_path, cfg_options={'optim_wrapper.optimizer.lr': 0.5})


def test_the_time_that_is_left(suite_file, tmp_path):
    runs = plan(read_suite(suite_file), tmp_path, rows=['ours', 'baseline_long'])
    assert seconds_left(runs) is None
    # Order: teacher, then assistant, baseline_long, ours of both seeds.
    finish(runs[0], 20)  # 40 iterations: half a second each
    assert seconds_left(runs) == pytest.approx(0.5 * 2 * (40 + 120 + 40))
    finish(runs[1], 40)  # with the other seed the same row will take as long: 40
    step = (0.5 + 1) / 2
    assert seconds_left(runs) == pytest.approx(40 + step * 2 * (120 + 40))
    for run in runs[2:]:
        finish(run, 10)
    assert seconds_left(runs) == 0


def test_a_row_that_was_stopped_early(suite_file, tmp_path, monkeypatch):
    def runs():
        return plan(read_suite(suite_file), tmp_path, rows=['assistant'])

    teacher = runs()[0].stage
    stopped = teacher.folder / 'iter_12.pth'

    def run(_command: list[str]) -> None:
        stopped.touch()
        (teacher.folder / 'last_checkpoint').write_text(str(stopped))

    monkeypatch.setattr('pd_mmdet.workbench.stages.stage._run', run)
    teacher.train()
    planned = runs()
    assert planned[0].stage.finished and planned[0].stage.checkpoint == stopped
    assert [run.stage.cfg.model.teacher.checkpoint for run in planned[1:]] == 2 * [str(stopped)]


def test_two_seeds_do_not_share_a_folder_of_checkpoints(suite_file, tmp_path):
    options = {'default_hooks.checkpoint.out_dir': str(tmp_path / 'big')}
    with pytest.raises(
        ValueError, match='seed1/assistant and .*seed2/assistant would both .*big/assistant'
    ):
        plan(read_suite(suite_file), tmp_path, rows=['assistant'], cfg_options=options)
