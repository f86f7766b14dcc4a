"""Choose the distillation terms of two models, by building the distiller with each of them."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.registry import MODELS

from ...distillers.terms.isrd import STEMS
from ...taps import Tap

STD = 57.7
"""Standard deviation of grey levels in ImageNet. ISRD's weights are chosen for preprocessors that
divide by it; with another divisor the loss has another scale, and the weight is scaled with it."""

REFUSALS = (
    AssertionError,
    ImportError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Exceptions that models raise when their config is wrong."""


@dataclass
class Choice:
    """Terms that a distiller can have.

    Args:
        terms: Name of a term → its config.
        isrd: Options of ISRD, or None.
        reasons: Name of a term that is not possible (or ``'isrd'``) → the reason.
    """

    terms: dict[str, dict] = field(default_factory=dict)
    isrd: dict | None = None
    reasons: dict[str, str] = field(default_factory=dict)


def isrd_options(weight: float, data_preprocessor: dict | None) -> list[dict[str, Any]]:
    """List options of ISRD, in the order in which they are tried: first the default tap.

    Args:
        weight: Weight for grey levels that are divided by ``STD``.
        data_preprocessor: Config of the student's data preprocessor; the weight is scaled to its
            division, and rounded to one digit.
    """
    std = (data_preprocessor or {}).get('std') or [1.0]
    weight = float(f'{weight / STD * sum(std) / len(std):.1g}')
    return [dict(weight=weight), *(dict(weight=weight, tap=stem) for stem in STEMS)]


def choose(
    distiller: dict[str, Any],
    candidates: dict[str, dict],
    places: Container[str],
    isrd: Sequence[dict] = (),
) -> Choice:
    """Try terms and ISRD: all together, and each alone if that is refused.

    Args:
        distiller: Config of the distiller without terms.
        candidates: Name of a term → its config.
        places: Names of the student's modules. Candidates that tap another place are left out.
        isrd: Options of ISRD; the first that is possible is chosen.
    """
    terms = {
        name: term for name, term in candidates.items() if Tap.parse(term['student']).path in places
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
    """Return why a model cannot be built; None if it can."""
    try:
        MODELS.build(copy.deepcopy(model))
    except REFUSALS as error:
        return message(error)
    return None


def message(error: Exception) -> str:
    """Return an error's message, without the quotes of a KeyError; its place if it is empty."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    if text:
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f'{type(error).__name__} at {place.line!r} in {Path(place.filename).name}'
