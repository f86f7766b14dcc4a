"""Commands without a Python of their own, which would import everything again for ten seconds."""

import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from subprocess import CompletedProcess

from pd_mmdet.testing.zoo.chain import start_python


def run_here(*words: object) -> CompletedProcess:
    """Do in this process what ``python WORDS`` does, and tell how it ended as a process would."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = _exit_code(list(words))
    return CompletedProcess(words, code, out.getvalue(), err.getvalue())


def _exit_code(words: list[object]) -> int:
    try:
        start_python(words)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except Exception:
        traceback.print_exc()
        return 1
    return 0
