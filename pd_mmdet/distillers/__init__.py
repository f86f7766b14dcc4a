from .afp_distiller import AFPDistiller

__all__ = ['AFPDistiller']
