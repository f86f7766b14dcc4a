"""Write a folder whole or not at all, and never over what is there."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `out` when the block ends without an error.

    Raises:
        FileExistsError: If `out` is a file, or a folder that holds anything.
    """
    out = out.resolve()
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise FileExistsError(
            f'--out {out} already holds something else (other files, or data made with other '
            'options). Nothing was changed; name another folder, or move that one away.'
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f'.{out.name}-') as partial:
        folder = Path(partial) / out.name
        folder.mkdir()
        yield folder
        os.rename(folder, out)  # Fails, and loses nothing, if somebody filled `out` meanwhile.
    print(f'Wrote {out}')
