"""What a checkpoint must not hold."""

from pathlib import Path


class Touch:
    """Unpickled as Python does it, this makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), 'w')
