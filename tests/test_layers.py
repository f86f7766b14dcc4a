"""Arrows run one way: testing → workbench → core, and no module imports itself on a detour."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.helpers import ROOT

PACKAGE = ROOT / 'pd_mmdet'
UPPER = ('pd_mmdet.workbench', 'pd_mmdet.testing')

TRAIN = """
import sys
from mmengine.config import Config
from mmengine.runner import Runner

import pd_mmdet, pd_mmdet.classification

cfg = Config.fromfile(sys.argv[1])
cfg.work_dir = sys.argv[2]
cfg.train_cfg.max_iters = 1
cfg.load_from = cfg.model.teacher = cfg.model.terms = None
Runner.from_cfg(cfg).train()
print([name for name in sys.modules if name.startswith(('pd_mmdet.workbench', 'pd_mmdet.testing'))])
"""


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


MODULES = {name_of(file): file for file in PACKAGE.rglob('*.py')}


def imports(name: str) -> Iterator[str]:
    """The modules of the package that one imports, at its top or in a function."""
    package = name if MODULES[name].name == '__init__.py' else name.rpartition('.')[0]
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            above = package.split('.')[: len(package.split('.')) + 1 - node.level]
            base = '.'.join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                found = next((m for m in (f'{base}.{alias.name}', base) if m in MODULES), None)
                if found not in (None, name):
                    yield found


def layer(name: str) -> int:
    return next((2 - i for i, upper in enumerate(UPPER[::-1]) if name.startswith(upper)), 0)


def test_no_arrow_points_up():
    arrows = [(name, used) for name in MODULES for used in imports(name)]
    assert len(arrows) > 200
    assert [arrow for arrow in arrows if layer(arrow[1]) > layer(arrow[0])] == []


def test_there_is_no_circle():
    graph = {name: set(imports(name)) for name in MODULES}
    assert list(TopologicalSorter(graph).static_order())


def test_a_training_imports_neither_workbench_nor_testing(glyphs, tmp_path, monkeypatch):
    monkeypatch.setenv('GLYPHS_ROOT', str(glyphs))
    recipe = ROOT / 'configs' / 'retinanet' / 'retinanet_r34-r18_glyphs_k2' / 'student.py'
    command = [sys.executable, '-c', TRAIN, str(recipe), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == '[]'
