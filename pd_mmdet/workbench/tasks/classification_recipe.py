"""What recipes of classifiers say, and how their students are exported."""

from __future__ import annotations

from fractions import Fraction
from math import log

from ..recipes.small_classifier import small_classifier as small_model

__all__ = ['small_model']

KIND = 'classifier'
LIBRARY = 'MMPretrain'
PACKAGE = 'pd_mmdet.classification'
HOOKS = ('TeacherHook', 'ISRDVisualizationHook')
PACK = 'PackInputs'
DISTILLER = 'PixelDistillClassifier'
ASSISTANT = None
"""None: the outputs of a classifier are of one size whatever the image's."""

PREPROCESSOR_INSIDE = False
FIXED_SIZE = True
TWO_NETWORKS = dict(
    kd=dict(student='head', teacher='head', loss=dict(type='KDLoss', T=4.0), weight=0.9)
)
SAME_NETWORK = TWO_NETWORKS
STUDENT_WEIGHT = 0.1
"""1 - alpha of (1 - alpha) * CE + alpha * KL * T^2; alpha is the weight of ``kd``."""

ISRD_TAPS = (
    None,
    'backbone.conv1',
    'backbone.layers.0',
    'backbone.features.1',
    'backbone.downsample_layers.0',
    'backbone.patch_embeds.0',
    'backbone.stage0',
    'backbone.tokens_to_token',
)
ONE_STAGE = LOADED_LAST = ''


def isrd_weight(ratio: Fraction) -> float:
    """ISRD's weight: 10 at ratio 2 and 50 at 4, as in the paper's own classification code; along
    a power of the ratio elsewhere."""
    return 10 * float(ratio / 2) ** log(5, 2)


def heads(model: dict) -> list[dict]:
    """The configs of a model's heads that tell classes apart."""
    return [model['head']] if model.get('head') else []
