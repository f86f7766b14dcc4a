"""Scripts that do without this package."""

import json
import os
import subprocess
import sys
from pathlib import Path

BLOCKED = """
import json, runpy, sys
sys.modules['pd_mmdet'] = None  # importing it fails
for sys.argv in json.loads(sys.argv[1]):
    runpy.run_path(sys.argv[0], run_name='__main__')
"""


def run_stock(*commands: list[object], cwd: Path) -> str:
    """Run scripts one after the other in one process that cannot import this package.

    Args:
        commands: Each a script and its arguments.
        cwd: Folder in which they run.

    Returns:
        Their output.
    """
    words = json.dumps([[str(word) for word in command] for command in commands])
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    result = subprocess.run(
        [sys.executable, '-c', BLOCKED, words],
        cwd=cwd,
        env=env | dict(OMP_NUM_THREADS='1', TORCH_FORCE_WEIGHTS_ONLY_LOAD='1'),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout
