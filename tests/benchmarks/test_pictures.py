import pytest

from tests.helpers import ROOT
from tests.helpers.commands import run_here

TOOL = ROOT / 'benchmarks' / 'pictures.py'


@pytest.mark.parametrize(
    'rows, message',
    [
        (['T=teacher', 'S=ours'], 'has no finished run of teacher, ours'),
        (['T=teacher', 'ours'], 'ours: write TITLE=ROW'),
    ],
)
def test_rows_that_cannot_be_drawn_are_refused(tmp_path, rows, message):
    done = run_here(TOOL, tmp_path, *rows, '--images', 0, '--out', tmp_path / 'picture.png')
    assert done.returncode == 2 and message in done.stderr
