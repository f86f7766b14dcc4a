from .isrd_visualization_hook import ISRDVisualizationHook
from .prior_coverage_hook import PriorCoverageHook
from .teacher_hook import TeacherHook

__all__ = ['ISRDVisualizationHook', 'PriorCoverageHook', 'TeacherHook']
