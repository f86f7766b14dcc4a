"""What the files of a recipe say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..deploy import PACKAGE, deployed_pipeline
from .given import Given
from .pipelines import Pipelines, derived, with_views
from .schedule import training_length
from .small_model import small_model
from .stages import FILES, VARIABLES
from .terms import ISRD_WEIGHT, Choice
from .write import Changed, Code, Remark

HOOKS = ('TeacherHook', 'PriorCoverageHook')
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
    def data(self) -> Pipelines:
        """The student's pipelines."""
        return Pipelines(self.student.cfg)

    def checkpoint(self, stage: str) -> str:
        """Assignment of a checkpoint: an environment variable, and what holds without it.

        Raises:
            ValueError: The place has characters that MMEngine misreads.
        """
        cfg = (self.teacher if stage == 'teacher' else self.student).cfg
        length, unit = training_length(cfg)
        place = f'work_dirs/{self.name}/{stage}/{FILES[unit].format(length)}'
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
        'The large image is what the transforms before LowResolution yield. For testing, '
        'annotations that are loaded after all of them stay in the pixels of the file.'
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
    data, ratio = source.data, source.said_ratio
    return dict(
        _base_='./baseline.py',
        teacher_checkpoint=source.checkpoint('teacher'),
        model=dict(
            _delete_=True,
            type='AFPDistiller',
            ratio=ratio,
            view='hr',
            student=_afp_detector(ratio),
            teacher=_teacher(),
            terms=_terms(chosen),
        ),
        **{name: _one_view(source, name, 'hr') for name in (*data.train, *data.test)},
        **data.loaders(),
        **_same_hooks(data),
    )


def student(source: Source, chosen: Choice) -> dict[str, Any]:
    """student.py: the student on the small image learns from the assistant on the large one."""
    data, ratio = source.data, source.said_ratio
    pipelines = {name: derived(name, pipeline, ratio) for name, pipeline in data.train.items()}
    return dict(
        _base_='./baseline.py',
        assistant_checkpoint=source.checkpoint('assistant'),
        load_from=Code('assistant_checkpoint'),
        model=dict(
            _delete_=True,
            type='AFPDistiller',
            ratio=ratio,
            student=Code('_base_.model'),
            teacher=dict(cfg=_afp_detector(ratio), checkpoint=Code('assistant_checkpoint')),
            terms=_terms(chosen),
            **_isrd(chosen),
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
            teacher=dict(_delete_=True, **_teacher()), terms=dict(_delete_=True, **_terms(chosen))
        ),
    )


def deploy(source: Source) -> dict[str, Any]:
    """deploy.py: the student for files that are really small, in plain MMDetection.

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
    data = source.data
    testing, pipeline = name in data.test, (data.train | data.test)[name]
    return derived(name, pipeline, source.said_ratio, [view], testing, added)


def _runtime(given: Given) -> dict[str, Any]:
    """The package and its hooks, where the given config does not have them already."""
    imports = _imports(given)
    said: dict[str, Any] = {}
    if PACKAGE not in imports:
        said['custom_imports'] = dict(imports=[*imports, PACKAGE], allow_failed_imports=False)
    own = given.cfg.get('custom_hooks') or []
    missing = [dict(type=hook) for hook in HOOKS if dict(type=hook) not in own]
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
        custom_hooks=[hook for hook in hooks if hook['type'] not in HOOKS],
    )


def _small_model(source: Source) -> dict[str, Any]:
    cfg = source.student.cfg
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor')
    changes = small_model({**cfg.model, 'data_preprocessor': preprocessor}, source.ratio)
    said = _preprocessor(source.student, changes)
    return dict(model=said) if said else {}


def _preprocessor(given: Given, changes: dict[str, Any]) -> dict[str, Any]:
    """What changes in a model, its preprocessor included.

    One that stands beside the model moves into it, because a teacher is built of its model alone.
    """
    cfg = given.cfg
    if cfg.model.get('data_preprocessor') or not cfg.get('data_preprocessor'):
        return changes
    own = Code('_base_.data_preprocessor')
    changed = changes.get('data_preprocessor')
    return {**changes, 'data_preprocessor': Changed(own, changed) if changed else own}


def _afp_detector(ratio: int | float | str) -> dict[str, Any]:
    return dict(type='AFPDetector', ratio=ratio, detector=Code('_base_.model'))


def _teacher() -> dict[str, Any]:
    return dict(cfg='{{ fileDirname }}/teacher.py', checkpoint=Code('teacher_checkpoint'))


def _terms(chosen: Choice) -> dict[str, Any]:
    left_out = {
        f'{name}_left_out': Remark(f'{name} is left out: {reason}')
        for name, reason in chosen.reasons.items()
        if name != 'isrd'
    }
    return chosen.terms | left_out


def _isrd(chosen: Choice) -> dict[str, Any]:
    if chosen.isrd:
        weight = chosen.isrd['weight']
        remark = Remark(DIVIDED_LESS if weight < ISRD_WEIGHT else DIVIDED_MORE)
        return dict(**({} if weight == ISRD_WEIGHT else dict(isrd_remark=remark)), isrd=chosen.isrd)
    return dict(isrd=Remark(f'isrd is left out: {chosen.reasons["isrd"]}'))


def _same_hooks(data: Pipelines) -> dict[str, Any]:
    hooks = data.hooks()
    return dict(custom_hooks=[Code('*_base_.custom_hooks')], **hooks) if hooks else {}
