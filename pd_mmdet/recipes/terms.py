"""Which terms a pair of detectors can have: found by building the distiller with each of them."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS

from ..taps import Tap

TWO_NETWORKS = dict(pkd=('neck', 'neck', 'PearsonLoss', 2.0))
"""What student and teacher can have where each has its own heads: name of the term → tap of the
student, tap of the teacher, loss, weight."""

SAME_NETWORK = dict(
    pkd=('neck', 'neck.afp', 'PearsonLoss', 2.0),
    cls=('bbox_head', 'bbox_head', 'DenseHeadClsLoss', 1.0),
    box=('bbox_head', 'bbox_head', 'DenseHeadBoxLoss', 1.0),
    rpn_cls=('rpn_head', 'rpn_head', 'DenseHeadClsLoss', 1.0),
    rpn_box=('rpn_head', 'rpn_head', 'DenseHeadBoxLoss', 1.0),
    roi_cls=('roi_head.bbox_head', 'roi_head.bbox_head', 'RoIHeadClsLoss', 1.0),
    roi_box=('roi_head.bbox_head', 'roi_head.bbox_head', 'RoIHeadBoxLoss', 1.0),
)
"""What the student and its assistant, whose heads answer on the same priors, can have."""

ISRD_TAPS = (None, 'backbone.conv1', 'backbone.layers.0', 'backbone.features.1')
"""Where ISRD may tap: the stem that the distiller finds, or where other backbones have theirs."""

ISRD_WEIGHT, STD = 0.5, 57.7
"""ISRD's weight where the preprocessor divides grey levels by about this standard deviation,
ImageNet's. Its loss is in what is left of them, so elsewhere the weight follows the divisor."""

REFUSALS = (
    AssertionError,
    ImportError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What builders of models raise where a config is wrong."""


@dataclass
class Choice:
    """What a distiller compares.

    Args:
        terms: Name of a term → its config.
        isrd: Its options, or None.
        reasons: Why others of the candidates (or ``isrd``) cannot be had.
    """

    terms: dict[str, dict] = field(default_factory=dict)
    isrd: dict | None = None
    reasons: dict[str, str] = field(default_factory=dict)


def isrd_options(data_preprocessor: dict | None) -> list[dict[str, Any]]:
    """Options of ISRD, in the order in which they are tried."""
    std = (data_preprocessor or {}).get('std') or [1.0]
    weight = float(f'{ISRD_WEIGHT / STD * sum(std) / len(std):.1g}')
    return [dict(weight=weight, **(dict(tap=tap) if tap else {})) for tap in ISRD_TAPS]


def choose(
    distiller: dict[str, Any],
    candidates: dict[str, tuple],
    places: Container[str],
    isrd: Sequence[dict] = (),
) -> Choice:
    """Try terms and ISRD: all at once, and where that is refused each alone.

    Args:
        distiller: Config of the distiller without terms.
        candidates: ``TWO_NETWORKS`` or ``SAME_NETWORK``.
        places: Names of the student's modules. Candidates that tap another place are passed over.
        isrd: Options of ISRD, the first of which that can be had is taken.
    """
    terms = {
        name: dict(student=student, teacher=teacher, loss=dict(type=loss), weight=weight)
        for name, (student, teacher, loss, weight) in candidates.items()
        if Tap.parse(student).path in places
    }
    everything = dict(isrd=isrd[0]) if isrd else {}
    if why_not({**distiller, 'terms': terms, **everything}) is None:
        return Choice(terms, **everything)
    choice = Choice()
    for name, term in terms.items():
        reason = why_not({**distiller, 'terms': {name: term}})
        if reason is None:
            choice.terms[name] = term
        else:
            choice.reasons[name] = reason
    reasons = [why_not({**distiller, 'isrd': options}) for options in isrd]
    if None in reasons:
        choice.isrd = isrd[reasons.index(None)]
    elif reasons:
        choice.reasons['isrd'] = reasons[0]
    return choice


def why_not(model: dict) -> str | None:
    """The reason for which a model is refused when it is built; None if it is not."""
    try:
        MODELS.build(copy.deepcopy(model))
    except REFUSALS as error:
        return message(error)
    return None


def message(error: Exception) -> str:
    """What an error says, without the quotes of a KeyError; where it says nothing, its place."""
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    if str(said):
        return str(said)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f'{type(error).__name__} at {place.line!r} in {Path(place.filename).name}'
