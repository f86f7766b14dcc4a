from .fixed_size import check_fixed_size
from .formatting import PackPairedDetInputs
from .low_resolution import LowResolution

__all__ = ['LowResolution', 'PackPairedDetInputs', 'check_fixed_size']
