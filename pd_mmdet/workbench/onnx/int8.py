"""Write an ONNX file of eight bits, unless that costs too much."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from ..costs.cost_report import scores_of
from ..stages.evaluate import measure
from .quantize import quantize
from .student import Student, training_images


class Quantized(NamedTuple):
    """What eight bits changed.

    Attributes:
        scores: Title of each score -> before and after, in points.
        in_float: Operators that may have weights, but stayed in float.
    """

    scores: dict[str, tuple[float, float]]
    in_float: list[str]

    @property
    def drop(self) -> float:
        """The largest loss of a score, in points."""
        return max(before - after for before, after in self.scores.values())

    def __str__(self) -> str:
        return ', '.join(
            f'{title} {before:.1f} -> {after:.1f}' for title, (before, after) in self.scores.items()
        )


def int8_file(file: Path) -> Path:
    """Return the name of the file of eight bits: ``student.int8.onnx`` beside ``student.onnx``."""
    return file.with_suffix('.int8.onnx')


def write_int8(student: Student, file: Path, number: int, max_drop: float) -> Quantized:
    """Write a file of eight bits beside an ONNX file.

    Args:
        student: The student.
        file: Its ONNX file.
        number: Largest number of training images for the calibration.
        max_drop: Largest loss of AP or top-1, in points, on a validation set.

    Raises:
        ValueError: There are no images for the calibration, or the loss is larger; then there is
            no file.
    """
    with TemporaryDirectory(dir=file.parent) as unfinished:
        smaller = Path(unfinished, int8_file(file).name)
        in_float = quantize(file, smaller, training_images(student, number))
        before, after = (
            measure(student.cfg, each, Path(unfinished, 'test', each.stem))
            for each in (file, smaller)
        )
        titles = scores_of([before])
        scores = {title: (100 * before[key], 100 * after[key]) for key, title in titles.items()}
        result = Quantized(scores, in_float)
        if result.drop > max_drop:
            raise ValueError(
                f'eight bits cost {result.drop:.1f} points ({result}), more than --max-drop '
                f'{max_drop}; there is no {int8_file(file)}'
            )
        smaller.rename(int8_file(file))
    return result
