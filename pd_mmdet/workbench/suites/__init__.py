from .suite import Suite, read_suite

__all__ = ['Suite', 'read_suite']
