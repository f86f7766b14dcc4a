import mmdet

from pd_mmdet.testing.zoo.chain import STEPS
from pd_mmdet.testing.zoo.check import Verdict
from pd_mmdet.testing.zoo.table import Row, chain_of, chain_section, markdown, summary, with_chain
from tests.helpers import ROOT

ROWS = [
    Row(
        ('ATSS', 'FPN'),
        ['atss/a.py', 'atss/b.py', 'dyhead/c.py'],
        Verdict('atss/a.py', 'aligned', cells=''),
    ),
    Row(('ATSS',), ['atss/c4.py'], Verdict('atss/c4.py', 'refused', 'no neck | none')),
    Row(('DETR',), ['detr/d.py'], Verdict('detr/d.py', 'refused', 'queries')),
    Row(('SSD',), ['ssd/s.py'], Verdict('ssd/s.py', 'fails', 'invariant 4: other losses')),
    Row(('SSDLite',), ['ssd/l.py'], Verdict('ssd/l.py', 'cannot predict', 'AFP aligns it')),
]


def test_summary_counts_configs_and_families():
    assert summary(ROWS) == (
        f'Of the 7 configs of 4 families in MMDetection {mmdet.__version__}, 3 of 2 families are '
        'aligned, 2 of 2 are refused, 1 fail, 1 are aligned, but MMDetection itself cannot predict '
        'with them, and 0 it cannot build.'
    )


def test_page_has_a_row_for_each_family_and_each_combination():
    page = markdown(ROWS, ['sort/x.py'], 'python tools/check_zoo.py')
    lines = page.splitlines()
    assert '| atss | 3 | 2 aligned; 1 refused: no neck \\| none |' in lines
    assert '| detr | 1 | refused: queries |' in lines
    assert '| dyhead | 1 | aligned |' in lines
    assert '| ssd | 2 | 1 cannot predict: AFP aligns it; 1 fails: invariant 4: other losses |' in (
        lines
    )
    assert '| atss/a.py | 3 | ATSS, FPN | aligned | ✓ |' in lines
    assert '| detr/d.py | 1 | DETR | refused: queries | – |' in lines
    assert 'Made by `python tools/check_zoo.py`. ' + summary(ROWS) in page
    assert '`sort/x.py`' in page


def test_readme_and_page_give_the_same_counts():
    """The sentence of the page is in the README, word for word but for line breaks."""
    page = (ROOT / 'docs' / 'zoo.md').read_text()
    sentence = page[page.index('Of the ') :].split('\n')[0]
    assert sentence in ' '.join((ROOT / 'README.md').read_text().split())


def test_the_chain_is_the_last_section_and_stays():
    page = markdown(ROWS, [], 'python tools/check_zoo.py')
    outcomes = {'a': dict.fromkeys(STEPS, ''), 'b': dict(recipe='', training='ValueError: no | 1')}
    section = chain_section(outcomes, 'python tools/check_zoo.py --chain')
    whole = with_chain(page, section)
    assert whole.startswith(page) and chain_of(whole) == section and chain_of(page) == ''
    assert with_chain(whole, section) == whole
    lines = section.splitlines()
    assert f'| a |{" ✓ |" * len(STEPS)}' in lines
    assert f'| b | ✓ | ValueError: no \\| 1 |{" – |" * (len(STEPS) - 2)}' in lines
