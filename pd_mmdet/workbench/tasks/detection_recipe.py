"""What recipes of detectors say, and how their students are exported."""

from __future__ import annotations

from fractions import Fraction

from ..recipes.small_detector import small_detector as small_model

__all__ = ['small_model']

KIND = 'detector'
LIBRARY = 'MMDetection'
PACKAGE = 'pd_mmdet'
"""What a config imports."""

HOOKS = ('TeacherHook', 'PriorCoverageHook', 'ISRDVisualizationHook')
PACK = 'PackDetInputs'
DISTILLER = 'AFPDistiller'
ASSISTANT = 'AFPDetector'
"""What aligns the student's network on the large image with that on the small one."""

PREPROCESSOR_INSIDE = True
"""A data preprocessor beside the model is moved into it, as MMDetection has it."""

FIXED_SIZE = False
"""Whether the ratio must divide the sides to which a pipeline crops."""

TWO_NETWORKS = dict(
    pkd=dict(student='neck', teacher='neck', loss=dict(type='PearsonLoss'), weight=2.0)
)
"""What student and teacher can have where each has its own heads."""

SAME_NETWORK = dict(
    pkd=dict(student='neck', teacher='neck.afp', loss=dict(type='PearsonLoss'), weight=2.0),
    **{
        name: dict(student=tap, teacher=tap, loss=dict(type=loss), weight=1.0)
        for name, tap, loss in (
            ('cls', 'bbox_head', 'DenseHeadClsLoss'),
            ('box', 'bbox_head', 'DenseHeadBoxLoss'),
            ('rpn_cls', 'rpn_head', 'DenseHeadClsLoss'),
            ('rpn_box', 'rpn_head', 'DenseHeadBoxLoss'),
            ('roi_cls', 'roi_head.bbox_head', 'RoIHeadClsLoss'),
            ('roi_box', 'roi_head.bbox_head', 'RoIHeadBoxLoss'),
        )
    },
)
"""What the student and its assistant, whose heads answer on the same priors, can have."""

STUDENT_WEIGHT = 1.0
"""Factor of the student's own losses beside these."""

ISRD_TAPS = (None, 'backbone.conv1', 'backbone.layers.0', 'backbone.features.1')
"""Where ISRD may tap: the stem that the distiller finds, or where other backbones have theirs."""

ONE_STAGE = (
    "The teacher's levels meet those of the student that have the same cells; the heads differ in "
    'their priors.'
)
LOADED_LAST = (
    'For testing, annotations that are loaded after all of them stay in the pixels of the file.'
)


def isrd_weight(ratio: Fraction) -> float:
    """ISRD's weight, chosen on glyphs."""
    return 0.5


def heads(model: dict) -> list[dict]:
    """The configs of a model's heads that tell classes apart."""
    found = model.get('bbox_head') or model.get('roi_head', {}).get('bbox_head') or []
    return found if isinstance(found, list) else [found]
