"""Run what the pages of docs/ show, and follow their links."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS

from pd_mmdet.losses.readers import READERS, DenseHeadOutput
from tests.helpers import ROOT
from tests.helpers.tiny import batch, build, distiller, forward, retinanet, save

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


def test_troubleshooting_quotes_messages_that_there_are():
    files = [*ROOT.glob('pd_mmdet/**/*.py'), *ROOT.glob('tools/*.py')]
    source = '\n'.join(file.read_text() for file in files)
    source = re.sub(r"""['"]\n\s*f?['"]""", '', source)  # messages over several lines
    table = (ROOT / 'docs' / 'troubleshooting.md').read_text().partition('## Before training')[2]
    quoted = re.findall(r'^\| `([^`]+)`', table.partition('\n## ')[0], re.MULTILINE)
    assert len(quoted) > 10
    for message in quoted:
        for part in filter(None, map(str.strip, message.split('…'))):
            assert part in source, message


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


def examples() -> list[str]:
    """The Python that CONTRIBUTING.md shows."""
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    return re.findall(r'```python\n(.*?)```', text, re.DOTALL)


def test_the_example_of_a_loss_teaches(tmp_path):
    exec(examples()[0], {})
    try:
        term = dict(student='neck', teacher='neck', loss=dict(type='CosineLoss'), weight=1.0)
        teacher = dict(cfg=retinanet(), checkpoint=save(retinanet(), tmp_path / 'teacher.pth'))
        model = build(distiller(teacher=teacher, terms=dict(cos=term)))
        loss = forward(model.train(), batch())['distill_cos_loss']
    finally:
        MODELS.module_dict.pop('CosineLoss')
    assert 0 < loss < 2 and loss.requires_grad


def test_the_example_of_a_reader_reads():
    names: dict = {}
    exec(examples()[1], names)
    head = build(retinanet()).bbox_head  # three anchors a cell, three classes
    head.__class__ = names['QualityHead']
    maps = [torch.zeros(1, channels, 2, 2) for channels in (9, 12, 3)]
    try:
        confidence = DenseHeadOutput(head, [[each] for each in maps], [0]).confidence()
    finally:
        READERS.pop(names['QualityHead'])
    assert confidence.tolist() == 12 * [0.5 * 0.5]
