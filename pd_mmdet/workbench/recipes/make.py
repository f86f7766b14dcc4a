"""Making a recipe from two plain configs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from mmengine.registry import MODELS, init_default_scope

from ...distillers.teacher import Teacher
from ...mixin import with_preprocessor
from ...ratio import parse_ratio
from ...transforms.fixed_size import check_fixed_size
from ..config_text import config_text
from ..deployed_data import deployed_pipeline
from ..stages.recipe import read_stage
from ..tasks import task_of
from . import files
from .choose_terms import REFUSALS, Choice, choose, isrd_options, message, why_not
from .files import Source
from .knobs import choose_knobs
from .plain_config import PlainConfig, check_same_classes, check_same_task, read

COPY = (
    'The config of the {}, whose Python other files cannot inherit, as plain data. What changes '
    'in one of the two does not change in the other.'
)
COMMENTS = dict(
    teacher=COPY.format('teacher'),
    ceiling=COPY.format('student'),
    baseline='The student alone: the small network on the small image, undistilled.',
    assistant='Stage 1, teacher -> assistant, both on the large image: compress the model.',
    student='Stage 2, assistant on the large image -> student on the small one: compress '
    'the input.',
    one_stage='Teacher on the large image -> student on the small one at once, to compare with. '
    '{task.one_stage_note}',
)


@dataclass
class Recipe:
    """A folder of configs that is being written.

    Args:
        folder: The folder.
        source: What it is made of.
        files: Names of its files.
        left_out: What these models cannot have of a recipe → the reason.
    """

    folder: Path
    source: Source
    files: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def write(self, stage: str, variables: dict[str, Any]) -> None:
        """Write the config of a stage."""
        file, comment = f'{stage}.py', COMMENTS[stage].format(task=self.source.task)
        (self.folder / file).write_text(config_text(comment, variables))
        self.files.append(file)

    def model(self, stage: str) -> dict:
        """Read the model of a stage, as the runner builds it."""
        cfg = read_stage(self.folder, stage)
        return with_preprocessor(cfg.model, cfg.get('data_preprocessor'))

    def note(self, stage: str, choice: Choice) -> Choice:
        """Remember what a stage cannot compare."""
        for name, reason in choice.reasons.items():
            self.left_out[f'{name} of {stage}.py'] = reason
        return choice


def make_recipe(
    student: str,
    teacher: str,
    ratio: int | float | str | Fraction,
    out: Path,
    teacher_checkpoint: str | None = None,
    enlarge: int | float | str | Fraction | None = None,
    cells: int | None = None,
) -> Recipe:
    """Write a recipe from two plain configs, and build every model in it.

    Args:
        student: Config of the student on the large image, a file, ``mmdet::…`` or
            ``mmpretrain::…``.
        teacher: Config of the teacher, likewise.
        ratio: Side of the large image over the small one, see :func:`parse_ratio`.
        out: The recipe's folder: not there yet, or empty.
        teacher_checkpoint: File with weights of the teacher, where there are some.
        enlarge: Side of the image that the student reads over that of the small one. None: see
            :func:`choose_knobs`.
        cells: Sub-cells along each side of a cell of the student's head. None: likewise.

    Raises:
        FileExistsError: ``out`` is there and not empty.
        FileNotFoundError: A config or the checkpoint is not there.
        ModuleNotFoundError: The configs are of MMPretrain, which is not installed.
        ValueError: No recipe can be made of the two; the message says why. ``out`` is as before.
    """
    exact = parse_ratio(ratio)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f'{out} is there and not empty: nothing was written')
    if teacher_checkpoint:
        _check_file(teacher_checkpoint)
    plain = read(student, 'ceiling', out), read(teacher, 'teacher', out)
    check_same_task(*plain)
    init_default_scope(task_of(plain[0].cfg).scope)
    check_same_classes(*plain)
    knobs = choose_knobs(_model(plain[0]), exact, enlarge, cells)
    source = Source(*plain, exact, out.resolve().name, teacher_checkpoint, *knobs)
    _check_cells(source)
    _check_sizes(source)
    with _emptied_if_it_fails(out):
        recipe = Recipe(out, source)
        _write(recipe)
        _check(recipe, teacher_checkpoint)
    return recipe


def _check_file(checkpoint: str) -> None:
    if '://' in checkpoint:
        raise ValueError(f'{checkpoint} is no file: download it first, and name the file')
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f'no checkpoint at {Path(checkpoint).absolute()}')


def _check_cells(source: Source) -> None:
    if source.cells > 1 and not source.task.assistant:
        raise ValueError(f'cells={source.cells}: classifiers have no cells; leave it out')
    if source.cells > source.view_ratio:
        enlarged = f', enlarge={source.enlarge}' if source.enlarge != 1 else ''
        raise ValueError(
            f'cells={source.cells} with ratio={source.ratio}{enlarged}: the student would answer '
            f'on more cells than the teacher; at most {int(source.view_ratio)} is right'
        )


def _check_sizes(source: Source) -> None:
    if source.task.fixed_size:
        for name, pipeline in (source.data.train | source.data.test).items():
            try:
                check_fixed_size(pipeline, source.ratio, source.enlarge)
            except ValueError as error:
                raise ValueError(f'{source.student.name}: {name}: {error}') from None


@contextmanager
def _emptied_if_it_fails(out: Path) -> Iterator[None]:
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for file in out.glob('*.py'):
            file.unlink()
        if new:
            out.rmdir()
        raise


def _write(recipe: Recipe) -> None:
    source, task = recipe.source, recipe.source.task
    for plain in (source.teacher, source.student):
        if plain.copy:
            recipe.write(plain.copy, plain.cfg)
    recipe.write('baseline', files.baseline(source))
    student, teacher = recipe.model('baseline'), _model(source.teacher)
    aligned = dict(type=task.assistant, ratio=source.view_ratio, detector=student)
    assistant = aligned if task.assistant else _model(source.student)
    second = _distiller(source, student, assistant)
    places = _places(second, source.student.name)

    first = _distiller(source, assistant, teacher, view='hr')
    first_choice = recipe.note('assistant', choose(first, _from_teacher(source), places))
    if not first_choice.terms:
        raise ValueError(
            f'{source.student.name} cannot learn from {source.teacher.name}: '
            f'{_reasons(first_choice)}'
        )
    recipe.write('assistant', files.assistant(source, first_choice))

    # Not that of `student`: with sub-cells, it is inside of its detector.
    preprocessor = _model(source.student).get('data_preprocessor')
    isrd = isrd_options(task.isrd_weight, preprocessor)
    chosen = recipe.note('student', choose(second, task.same_network_terms, places, isrd))
    if not chosen.terms:
        raise ValueError(
            f'{source.student.name} cannot learn from its assistant: {_reasons(chosen)}'
        )
    recipe.write('student', files.student(source, chosen))

    chosen = choose(_distiller(source, student, teacher), _from_teacher(source), places)
    if not chosen.terms:
        recipe.left_out['one_stage'] = _reasons(chosen)
    elif chosen.terms != first_choice.terms:
        recipe.write('one_stage', files.one_stage(source, chosen))
    for pipeline in source.data.test.values():
        try:
            deployed_pipeline(pipeline, source.ratio)
        except ValueError as error:
            recipe.left_out['tools/export_student.py'] = str(error)


def _from_teacher(source: Source) -> dict[str, dict]:
    """Return the terms to try between the teacher and another network."""
    same_cells = source.cells == source.view_ratio
    return source.task.different_network_terms | (
        source.task.same_priors_terms if same_cells else {}
    )


def _model(plain: PlainConfig) -> dict[str, Any]:
    return with_preprocessor(plain.cfg.model, plain.cfg.get('data_preprocessor'))


def _distiller(source: Source, student: dict, teacher: dict, **options: Any) -> dict[str, Any]:
    sides = dict(student=student, teacher=dict(cfg=teacher))
    return dict(type=source.task.distiller, ratio=source.view_ratio, **sides, **options)


def _places(distiller: dict, name: str) -> set[str]:
    """Return the names of a student's modules, if it can learn from its assistant at all."""
    try:
        return set(dict(MODELS.build(copy.deepcopy(distiller)).named_modules()))
    except REFUSALS as error:
        raise ValueError(f'{name} cannot be distilled: {message(error)}') from error


def _reasons(choice: Choice) -> str:
    return '; '.join(f'{name}: {reason}' for name, reason in choice.reasons.items())


def _check(recipe: Recipe, teacher_checkpoint: str | None) -> None:
    """Build what was written, and see whether the teacher's weights fit."""
    for file in recipe.files:
        reason = why_not(recipe.model(file.removesuffix('.py')))
        if reason is not None:
            raise ValueError(f'{recipe.folder / file} cannot be built: {reason}')
    if teacher_checkpoint:
        Teacher(MODELS, recipe.model('teacher'), teacher_checkpoint).load()
