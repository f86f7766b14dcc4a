from .prior_coverage_hook import PriorCoverageHook
from .teacher_hook import TeacherHook

__all__ = ['PriorCoverageHook', 'TeacherHook']
