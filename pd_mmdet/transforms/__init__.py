from .formatting import PackPairedDetInputs
from .low_resolution import LowResolution

__all__ = ['LowResolution', 'PackPairedDetInputs']
