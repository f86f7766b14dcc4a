"""What the pages of docs/ show and link to."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from tests.helpers import ROOT

PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')])


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them in addresses."""
    titles = re.findall(r'^#+ (.+)$', page.read_text(), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        if link.startswith('http'):
            continue
        file, _, anchor = link.partition('#')
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_python_is_python(page):
    for block in re.findall(r'```python\n(.*?)```', page.read_text(), re.DOTALL):
        compile(block, str(page), 'exec')


def test_the_data_flow_has_the_shapes_that_the_page_states(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (ROOT / 'docs' / 'data_flow.md').read_text()
    steps = re.findall(r'```python\n(.*?)```(?:\n\n```text\n(.*?)```)?', text, re.DOTALL)
    names: dict = {}
    stated = []
    for code, output in steps:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        if output:
            stated.append(output)
            assert printed.getvalue() == output
    assert len(stated) == 6
