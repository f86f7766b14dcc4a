"""Look after processes that tests start."""

import time
from pathlib import Path

import pytest

NEEDS_PROC = pytest.mark.skipif(
    not Path('/proc/self/task').exists(), reason='looks for processes in /proc'
)


def wait_for(condition, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def running(pid: int) -> bool:
    status = Path(f'/proc/{pid}/status')
    return status.exists() and 'State:\tZ' not in status.read_text()


def of_folder(folder: Path) -> list[int]:
    """Return the processes whose command names a folder."""
    found = []
    for file in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if str(folder) in file.read_text():
                found.append(int(file.parent.name))
        except OSError:  # it has just ended
            continue
    return found
