from .channels_last_hook import ChannelsLastHook
from .isrd_visualization_hook import ISRDVisualizationHook
from .prior_coverage_hook import PriorCoverageHook
from .teacher_hook import TeacherHook

__all__ = ['ChannelsLastHook', 'ISRDVisualizationHook', 'PriorCoverageHook', 'TeacherHook']
