"""Which terms a pair of models can have: found by building the distiller with each of them."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.registry import MODELS

from ...taps import Tap

STD = 57.7
"""ISRD's weight is meant for preprocessors that divide grey levels by about this standard
deviation, ImageNet's. Its loss is in what is left of them, so elsewhere the weight follows the
divisor."""

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


def isrd_options(
    weight: float, taps: Sequence[str | None], data_preprocessor: dict | None
) -> list[dict[str, Any]]:
    """Options of ISRD, in the order in which they are tried.

    Args:
        weight: Where grey levels are divided by ``STD``.
        taps: Where it may tap, None for the stem that the distiller finds.
        data_preprocessor: Config of the student's.
    """
    std = (data_preprocessor or {}).get('std') or [1.0]
    weight = rounded(weight / STD * sum(std) / len(std))
    return [dict(weight=weight, **(dict(tap=tap) if tap else {})) for tap in taps]


def rounded(weight: float) -> float:
    """A weight with one digit: more would say nothing."""
    return float(f'{weight:.1g}')


def choose(
    distiller: dict[str, Any],
    candidates: dict[str, dict],
    places: Container[str],
    isrd: Sequence[dict] = (),
) -> Choice:
    """Try terms and ISRD: all at once, and where that is refused each alone.

    Args:
        distiller: Config of the distiller without terms.
        candidates: Name of a term → its config.
        places: Names of the student's modules. Candidates that tap another place are passed over.
        isrd: Options of ISRD, the first of which that can be had is taken.
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
