import pytest

from pd_mmdet.workbench.suites.suite import read_suite
from tests.helpers import ROOT

SUITES = sorted((ROOT / 'benchmarks' / 'suites').glob('*.py'))


@pytest.mark.parametrize('file', SUITES, ids=lambda file: file.stem)
def test_every_shipped_suite_can_be_read(file):
    suite = read_suite(file)
    assert suite.name == file.stem and suite.title and suite.parts
    for part in suite.parts:
        assert {*part.rows} <= {*suite.rows}


def test_what_the_issue_asks_of_bccd_comes_in_its_order():
    suite = read_suite(next(file for file in SUITES if file.stem == 'bccd'))
    assert suite.seeds == (1, 2, 3)
    main, one_stage, ablation, *_ = suite.parts
    assert main.rows == (*('teacher', 'ceiling', 'assistant', 'baseline', 'baseline_long', 'ours'),)
    assert {'l2', 'cwd', 'pkd', 'heads', 'msad', 'ours'} <= {*one_stage.rows}
    assert {'no_heads', 'no_features', 'no_isrd', 'no_weights', 'centred'} <= {*ablation.rows}


def test_finer_rows_come_with_what_they_need_and_k_2_first():
    suite = read_suite(next(file for file in SUITES if file.stem == 'bccd'))
    for part in suite.parts:
        for row in (suite.rows[name] for name in part.rows):
            assert (part.recipe_of(row) / 'student.py').is_file()
    parts = [part for part in suite.parts if 'cells' in part.title]
    for k, part in zip((2, 4), parts, strict=True):
        names = ('enlarged_untrained', 'enlarged', 'cells', 'ours_cells', 'ours_enlarged')
        assert {f'{name}_k{k}' for name in (*names, 'thin10', 'thin10_ours')} <= {*part.rows}
        assert {'ceiling', 'baseline', 'ours'} <= {*part.rows}
        assert suite.rows[f'enlarged_untrained_k{k}'].weights_of == 'ceiling'
        assert part.recipe_of(suite.rows[f'cells_k{k}']).name.endswith(f'_bccd_k{k}_c{k}')
    assert 'ours_u2_c2' in parts[1].rows


def test_a_missing_suite_names_those_there_are(suite_file):
    with pytest.raises(FileNotFoundError, match="no suite 'many' at .*; there are: few"):
        read_suite(suite_file.with_name('many.py'))


@pytest.mark.parametrize(
    'old, new, message',
    [
        ('seeds = [1, 2]', 'seeds = [1, 1]', r'seeds=\(1, 1\): write different non-negative'),
        ('seeds = [1, 2]', 'seeds = []', 'write different non-negative'),
        ("title = 'A few glyphs'", '', "'title'"),
        ("'pkd', 'ours'", "'pkt', 'ours'", "part 'one stage' has the row 'pkt'"),
        ("['teacher', ", '[', "row 'assistant' of 'TAS' learns from 'teacher', which must come"),
        ('parts =', 'rows = dict(ours=dict(learns_from=None))\nparts =', 'needs a learns_from'),
        ('parts =', 'rows = dict(ours=dict(seed=1))\nparts =', "argument 'seed'"),
        (
            'parts =',
            "rows = dict(ours=dict(as_long_as=['all']))\nparts =",
            r"as_long_as of row 'ours' has \['all'\]",
        ),
        (
            "'teacher', 'assistant'",
            "'teacher', 'enlarged_untrained_k2', 'assistant'",
            "row 'enlarged_untrained_k2' of 'TAS' has the weights of 'ceiling', which must come",
        ),
        (
            'parts =',
            "rows = dict(ours=dict(weights_of='teacher'))\nparts =",
            "row 'ours' has weights_of='teacher', so nothing is trained: it needs no learns_from",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(suite_file, old, new, message):
    text = suite_file.read_text()
    assert old in text
    suite_file.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_suite(suite_file)
