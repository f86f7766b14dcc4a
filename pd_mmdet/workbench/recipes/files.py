"""Saying what the files of a recipe contain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ...sub_cells import SubCellDetector
from ..config_text import Changed, Code, Remark
from ..stages.checkpoints import expected_checkpoint
from ..stages.stage import VARIABLES
from ..tasks import Task
from .choose_terms import Choice
from .pipelines import Pipelines, derived, with_views
from .plain_config import PlainConfig

DIVIDED_LESS = (
    'The images are not divided by their deviation, so the loss is larger and its weight smaller.'
)
DIVIDED_MORE = (
    'The images are divided by more than their deviation, so the loss is smaller and its weight '
    'larger.'
)


@dataclass(frozen=True)
class Source:
    """The two plain configs of a recipe, and what the user says of them.

    Args:
        student: The student's config, on the large image.
        teacher: The teacher's config.
        ratio: Side of the large image over the small one.
        name: Name of the recipe, from which the default places of checkpoints follow.
        teacher_checkpoint: The teacher's weights, where they are there already.
        enlarge: Side of the image that the student reads over that of the small one.
        cells: Sub-cells along each side of a cell of the student's head.
    """

    student: PlainConfig
    teacher: PlainConfig
    ratio: Fraction
    name: str
    teacher_checkpoint: str | None = None
    enlarge: Fraction = Fraction(1)
    cells: int = 1

    @property
    def view_ratio(self) -> Fraction:
        """Side of the large image over that of the image that the student reads."""
        return self.ratio / self.enlarge

    @property
    def sizes(self) -> dict[str, int | float | str]:
        """The options of ``LowResolution`` that say how large its images are."""
        enlarge = dict(enlarge=said(self.enlarge)) if self.enlarge != 1 else {}
        return dict(ratio=said(self.ratio), **enlarge)

    @property
    def task(self) -> Task:
        """The task of both configs."""
        return self.student.task

    @property
    def data(self) -> Pipelines:
        """The student's pipelines."""
        return Pipelines(self.student.cfg)

    def checkpoint(self, stage: str) -> str:
        """Return the value of a checkpoint: an environment variable, with a default.

        Args:
            stage: ``'teacher'`` or ``'assistant'``.

        Raises:
            ValueError: The default has characters that MMEngine misreads.
        """
        cfg = (self.teacher if stage == 'teacher' else self.student).cfg
        place = expected_checkpoint(cfg, Path('work_dirs', self.name, stage)).as_posix()
        if stage == 'teacher' and self.teacher_checkpoint:
            place = self.teacher_checkpoint
        # MMEngine takes such a default for a regular expression without spaces.
        if not re.fullmatch(r'[\w./:@%,~=-]+', place):
            raise ValueError(
                f'the place of the {stage}, {place!r}, cannot stand in a config as the default of '
                'an environment variable: choose one of letters, digits and ./:@%,~=-_'
            )
        return f'{{{{${VARIABLES[stage]}:{place}}}}}'


def said(ratio: Fraction) -> int | float | str:
    """Return a ratio as a config says it: 2, 1.5 or '4/3'."""
    if ratio.denominator == 3:
        return str(ratio)
    return int(ratio) if ratio.denominator == 1 else float(ratio)


def baseline(source: Source) -> dict[str, Any]:
    """Say baseline.py: the student on the small image, which student.py inherits."""
    student, data = source.student, source.data
    base = _base(student)
    comment = Remark(
        'The large image is what the transforms before LowResolution yield. '
        + source.task.pipeline_note
    )
    pipelines = {name: _one_view(source, name, 'lr', added=0) for name in data.names}
    return dict(
        **base,
        **_small_model(source),
        ceiling=student.place,
        comment=comment,
        **_with_variable(pipelines, source, views=['lr']),
        **data.loaders(),
        **_hooks(data, base),
    )


def assistant(source: Source, chosen: Choice) -> dict[str, Any]:
    """Say assistant.py: the student's network learns from the teacher on the large image."""
    data, task, student = source.data, source.task, source.student
    if task.assistant:
        base, network, added = dict(_base_='./baseline.py'), _aligned(source), 1
    else:
        base, network, added = _base(student), Code('_base_.model'), 0
    pipelines = {name: _one_view(source, name, 'hr', added) for name in data.names}
    return dict(
        **base,
        teacher_checkpoint=source.checkpoint('teacher'),
        model=dict(
            _delete_=True,
            type=task.distiller,
            ratio=said(source.view_ratio),
            view='hr',
            **_student_weight(source, chosen),
            student=network,
            teacher=_teacher(source.teacher.place, 'teacher'),
            terms=_terms(chosen),
        ),
        **_with_variable(pipelines, source, views=['hr']),
        **data.loaders(),
        **_hooks(data, base),
    )


def student(source: Source, chosen: Choice) -> dict[str, Any]:
    """Say student.py: the student on the small image learns from the assistant on the large one."""
    data, task = source.data, source.task
    pipelines = {
        name: derived(name, pipeline, source.sizes) for name, pipeline in data.train.items()
    }
    assistant_network = _aligned(source) if task.assistant else Code('_base_.ceiling')
    return dict(
        _base_='./baseline.py',
        assistant_checkpoint=source.checkpoint('assistant'),
        load_from=Code('assistant_checkpoint'),
        model=dict(
            _delete_=True,
            type=task.distiller,
            ratio=said(source.view_ratio),
            **_student_weight(source, chosen),
            student=Code('_base_.model'),
            teacher=_teacher(assistant_network, 'assistant'),
            terms=_terms(chosen),
            **_isrd(source, chosen),
        ),
        **_with_variable(pipelines, source),
        **data.loaders(('train_dataloader',)),
        **_hooks(data),
    )


def one_stage(source: Source, chosen: Choice) -> dict[str, Any]:
    """Say one_stage.py: student.py with the teacher in the assistant's place."""
    return dict(
        _base_='./student.py',
        teacher_checkpoint=source.checkpoint('teacher'),
        load_from=source.student.cfg.get('load_from'),
        model=dict(
            teacher=dict(_delete_=True, **_teacher(source.teacher.place, 'teacher')),
            terms=dict(_delete_=True, **_terms(chosen)),
        ),
    )


def _one_view(source: Source, name: str, view: str, added: int) -> list[Any]:
    """Return a pipeline that makes one view; ``added`` is as for :func:`derived`."""
    data = source.data
    testing, pipeline = name in data.test, (data.train | data.test)[name]
    if not added and source.student.cfg.get(name) != pipeline:  # the base has no such variable
        return with_views(pipeline, source.sizes, [view], testing)
    return derived(name, pipeline, source.sizes, [view], testing, added)


def _with_variable(
    pipelines: dict[str, list], source: Source, **options: Any
) -> dict[str, list | dict]:
    """Give the transform that all pipelines share a variable of its own.

    Args:
        pipelines: Pipelines by the names of their variables.
        source: What the recipe is made of.
        options: Options of ``LowResolution`` besides the sizes.
    """
    low = dict(type='LowResolution', **source.sizes, **options)
    return dict(low_resolution=low, **_named(pipelines, low, Code('low_resolution')))


def _named(node: Any, value: Any, name: Code) -> Any:
    """Replace a value by the name of its variable, at any depth."""
    if node == value:
        return name
    if isinstance(node, Changed):
        return Changed(node.one, _named(node.values, value, name))
    if isinstance(node, dict):
        return {key: _named(inner, value, name) for key, inner in node.items()}
    if isinstance(node, list):
        return [_named(inner, value, name) for inner in node]
    return node


def _base(plain: PlainConfig) -> dict[str, Any]:
    """Inherit a plain config, with the imports and hooks of this package that it does not have."""
    imports, package = _imports(plain), plain.task.package
    variables: dict[str, Any] = dict(_base_=plain.base)
    if package not in imports:
        variables['custom_imports'] = dict(imports=[*imports, package], allow_failed_imports=False)
    hooks = plain.cfg.get('custom_hooks') or []
    present = {hook['type'] for hook in hooks}
    missing = [dict(type=hook) for hook in plain.task.hooks if hook not in present]
    if missing:
        variables['custom_hooks'] = [*([Code('*_base_.custom_hooks')] if hooks else []), *missing]
    return variables


def _imports(plain: PlainConfig) -> list[str]:
    imports = (plain.cfg.get('custom_imports') or {}).get('imports', [])
    return [imports] if isinstance(imports, str) else imports


def _small_model(source: Source) -> dict[str, Any]:
    cfg = source.student.cfg
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    changes = source.task.small_model(
        {**cfg.model, 'data_preprocessor': preprocessor}, source.view_ratio
    )
    changes = _with_preprocessor(source.student, changes)
    if source.cells > 1:
        changes = dict(
            _delete_=True,
            type=SubCellDetector.__name__,
            cells=source.cells,
            detector=_changed(Code('_base_.model'), cfg.model, changes),
        )
    return dict(model=changes) if changes else {}


def _changed(place: Code, old: Any, changes: dict[str, Any]) -> Changed | Code:
    """Write changes to a dict of the base config as an expression: MMEngine does not merge it."""
    if not changes:
        return place
    values = {
        key: _changed(Code(f'{place}.{key}'), old[key], value)
        if isinstance(value, dict) and key in old
        else value
        for key, value in changes.items()
    }
    return Changed(place, values)


def _with_preprocessor(plain: PlainConfig, changes: dict[str, Any]) -> dict[str, Any]:
    """Move a data preprocessor beside the model into it, where the task needs that."""
    cfg = plain.cfg
    inside = cfg.model.get('data_preprocessor') or not plain.task.preprocessor_in_model
    if inside or not cfg.get('data_preprocessor'):
        return changes
    beside = Code('_base_.data_preprocessor')
    changed = changes.get('data_preprocessor')
    return {**changes, 'data_preprocessor': Changed(beside, changed) if changed else beside}


def _aligned(source: Source) -> dict[str, Any]:
    """Return the student's network on the large image, with the outputs of the small one."""
    ratio = said(source.view_ratio)
    return dict(type=source.task.assistant, ratio=ratio, detector=Code('_base_.model'))


def _teacher(cfg: dict[str, Any] | str, stage: str) -> dict[str, Any]:
    """Return ``model.teacher``: a network with the checkpoint of a stage."""
    return dict(cfg=cfg, checkpoint=Code(f'{stage}_checkpoint'))


def _terms(chosen: Choice) -> dict[str, Any]:
    left_out = {
        f'{name}_left_out': Remark(f'{name} is left out: {reason}')
        for name, reason in chosen.reasons.items()
        if name != 'isrd'
    }
    return chosen.terms | left_out


def _student_weight(source: Source, chosen: Choice) -> dict[str, Any]:
    weight = source.task.student_weight
    return dict(student_weight=weight) if chosen.terms and weight != 1 else {}


def _isrd(source: Source, chosen: Choice) -> dict[str, Any]:
    if chosen.isrd:
        weight, usual = chosen.isrd['weight'], source.task.isrd_weight
        remark = Remark(DIVIDED_LESS if weight < usual else DIVIDED_MORE)
        return dict(**({} if weight == usual else dict(isrd_remark=remark)), isrd=chosen.isrd)
    return dict(isrd=Remark(f'isrd is left out: {chosen.reasons["isrd"]}'))


def _hooks(data: Pipelines, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """Give the hooks that hold a pipeline the changed ones."""
    hooks = data.hooks()
    if not hooks or 'custom_hooks' in (base or {}):
        return hooks
    return dict(custom_hooks=[Code('*_base_.custom_hooks')], **hooks)
