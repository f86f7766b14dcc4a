"""What the files of a recipe say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..deployed_data import PACKAGE, deployed_pipeline
from ..stages.checkpoints import expected_checkpoint
from ..stages.stage import VARIABLES
from ..tasks import Task
from .choose_terms import Choice, rounded
from .given import Given
from .pipelines import Pipelines, derived, with_views
from .write import Changed, Code, Remark

TEACHER, CEILING = '{{ fileDirname }}/teacher.py', '{{ fileDirname }}/ceiling.py'
DIVIDED_LESS = (
    'The images are not divided by their deviation, so the loss is larger and its weight smaller.'
)
DIVIDED_MORE = (
    'The images are divided by more than their deviation, so the loss is smaller and its weight '
    'larger.'
)


@dataclass(frozen=True)
class Source:
    """What the files of a recipe are made of.

    Args:
        student: The student's config, on the large image.
        teacher: The teacher's.
        ratio: Side of the large image over the small one.
        name: The recipe's, from which the default places of checkpoints follow.
        teacher_checkpoint: The teacher's weights, where they are there already.
    """

    student: Given
    teacher: Given
    ratio: Fraction
    name: str
    teacher_checkpoint: str | None = None

    @property
    def said_ratio(self) -> int | float | str:
        """The ratio as a config says it: 2, 1.5 or '4/3'."""
        if self.ratio.denominator == 3:
            return str(self.ratio)
        return int(self.ratio) if self.ratio.denominator == 1 else float(self.ratio)

    @property
    def task(self) -> Task:
        """The task of both configs."""
        return self.student.task

    @property
    def data(self) -> Pipelines:
        """The student's pipelines."""
        return Pipelines(self.student.cfg)

    def checkpoint(self, stage: str) -> str:
        """Assignment of a checkpoint: an environment variable, and what holds without it.

        Raises:
            ValueError: The place has characters that MMEngine misreads.
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


def plain(given: Given) -> dict[str, Any]:
    """teacher.py and ceiling.py: the given training, and what looks after it."""
    said = _preprocessor(given, {})
    return dict(_base_=given.base, **_runtime(given), **(dict(model=said) if said else {}))


def baseline(source: Source) -> dict[str, Any]:
    """baseline.py: the student on the small image, which assistant.py and student.py inherit."""
    said = dict(_base_=source.student.base, **_runtime(source.student), **_small_model(source))
    data = source.data
    remark = Remark(
        'The large image is what the transforms before LowResolution yield. '
        + source.task.pipeline_note
    )
    pipelines = {
        name: with_views(pipeline, source.said_ratio, ['lr'], testing=name in data.test)
        for name, pipeline in (data.train | data.test).items()
    }
    if 'tta_pipeline' in pipelines:
        pipelines['tta_pipeline'] = _one_view(source, 'tta_pipeline', 'lr', added=0)
    hooks = data.hooks() if 'custom_hooks' in said else _same_hooks(data)
    return said | dict(remark=remark) | pipelines | data.loaders() | hooks


def assistant(source: Source, chosen: Choice) -> dict[str, Any]:
    """assistant.py: the student's network learns from the teacher on the large image."""
    data, task = source.data, source.task
    base, added = ('baseline', 1) if task.assistant else ('ceiling', 0)
    return dict(
        _base_=f'./{base}.py',
        teacher_checkpoint=source.checkpoint('teacher'),
        model=dict(
            _delete_=True,
            type=task.distiller,
            ratio=source.said_ratio,
            view='hr',
            **_student_weight(source, chosen),
            student=_aligned(source) if task.assistant else Code('_base_.model'),
            teacher=_learnt_from('teacher', TEACHER),
            terms=_terms(chosen),
        ),
        **{name: _one_view(source, name, 'hr', added) for name in (*data.train, *data.test)},
        **data.loaders(),
        **_same_hooks(data),
    )


def student(source: Source, chosen: Choice) -> dict[str, Any]:
    """student.py: the student on the small image learns from the assistant on the large one."""
    data, ratio, task = source.data, source.said_ratio, source.task
    pipelines = {name: derived(name, pipeline, ratio) for name, pipeline in data.train.items()}
    aligned = _aligned(source) if task.assistant else CEILING
    return dict(
        _base_='./baseline.py',
        assistant_checkpoint=source.checkpoint('assistant'),
        load_from=Code('assistant_checkpoint'),
        model=dict(
            _delete_=True,
            type=task.distiller,
            ratio=ratio,
            **_student_weight(source, chosen),
            student=Code('_base_.model'),
            teacher=_learnt_from('assistant', aligned),
            terms=_terms(chosen),
            **_isrd(source, chosen),
        ),
        **pipelines,
        **data.loaders(('train_dataloader',)),
        **_same_hooks(data),
    )


def one_stage(source: Source, chosen: Choice) -> dict[str, Any]:
    """one_stage.py: student.py with the teacher in the assistant's place."""
    return dict(
        _base_='./student.py',
        teacher_checkpoint=source.checkpoint('teacher'),
        load_from=source.student.cfg.get('load_from'),
        model=dict(
            teacher=dict(_delete_=True, **_learnt_from('teacher', TEACHER)),
            terms=dict(_delete_=True, **_terms(chosen)),
        ),
    )


def deploy(source: Source) -> dict[str, Any]:
    """deploy.py: the student for files that are really small, without this package.

    Raises:
        ValueError: A transform's sizes cannot be told.
    """
    given, data = source.student, source.data
    pipelines = {
        name: deployed_pipeline(pipeline, source.ratio) for name, pipeline in data.test.items()
    }
    nothing = dict.fromkeys(('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'))
    return dict(
        _base_=given.base,
        **_without_package(given),
        **_small_model(source),
        **pipelines,
        **data.loaders(('val_dataloader', 'test_dataloader'), stock=True),
        remark=Remark('What is deployed is not trained here, but by student.py.'),
        **nothing,
    )


def _one_view(source: Source, name: str, view: str, added: int = 1) -> list[Any]:
    """A pipeline that makes one view; ``added`` is as in :func:`derived`."""
    data = source.data
    testing, pipeline = name in data.test, (data.train | data.test)[name]
    if not added and source.student.cfg.get(name) != pipeline:  # the base has no such variable
        return with_views(pipeline, source.said_ratio, [view], testing)
    return derived(name, pipeline, source.said_ratio, [view], testing, added)


def _runtime(given: Given) -> dict[str, Any]:
    """The package and its hooks, where the given config does not have them already."""
    imports, package = _imports(given), given.task.package
    said: dict[str, Any] = {}
    if package not in imports:
        said['custom_imports'] = dict(imports=[*imports, package], allow_failed_imports=False)
    own = given.cfg.get('custom_hooks') or []
    present = {hook['type'] for hook in own}
    missing = [dict(type=hook) for hook in given.task.hooks if hook not in present]
    if missing:
        said['custom_hooks'] = [*([Code('*_base_.custom_hooks')] if own else []), *missing]
    return said


def _imports(given: Given) -> list[str]:
    imports = (given.cfg.get('custom_imports') or {}).get('imports', [])
    return [imports] if isinstance(imports, str) else imports


def _without_package(given: Given) -> dict[str, Any]:
    """What takes the package and its hooks out of a config that has them."""
    imports, hooks = _imports(given), given.cfg.get('custom_hooks') or []
    others = [name for name in imports if name.partition('.')[0] != PACKAGE]
    if others == imports:
        return {}
    return dict(
        custom_imports=dict(imports=others),
        custom_hooks=[hook for hook in hooks if hook['type'] not in given.task.hooks],
    )


def _small_model(source: Source) -> dict[str, Any]:
    cfg = source.student.cfg
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    changes = source.task.small_model(
        {**cfg.model, 'data_preprocessor': preprocessor}, source.ratio
    )
    said = _preprocessor(source.student, changes)
    return dict(model=said) if said else {}


def _preprocessor(given: Given, changes: dict[str, Any]) -> dict[str, Any]:
    """What changes in a model, its preprocessor included where the task has it in there."""
    cfg = given.cfg
    inside = cfg.model.get('data_preprocessor') or not given.task.preprocessor_in_model
    if inside or not cfg.get('data_preprocessor'):
        return changes
    own = Code('_base_.data_preprocessor')
    changed = changes.get('data_preprocessor')
    return {**changes, 'data_preprocessor': Changed(own, changed) if changed else own}


def _aligned(source: Source) -> dict[str, Any]:
    """The student's network on the large image, with the outputs that it has on the small one."""
    return dict(type=source.task.assistant, ratio=source.said_ratio, detector=Code('_base_.model'))


def _learnt_from(stage: str, cfg: dict[str, Any] | str) -> dict[str, Any]:
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
        weight, usual = chosen.isrd['weight'], rounded(source.task.isrd_weight(source.ratio))
        remark = Remark(DIVIDED_LESS if weight < usual else DIVIDED_MORE)
        return dict(**({} if weight == usual else dict(isrd_remark=remark)), isrd=chosen.isrd)
    return dict(isrd=Remark(f'isrd is left out: {chosen.reasons["isrd"]}'))


def _same_hooks(data: Pipelines) -> dict[str, Any]:
    hooks = data.hooks()
    return dict(custom_hooks=[Code('*_base_.custom_hooks')], **hooks) if hooks else {}
