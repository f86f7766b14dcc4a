"""The packages that ONNX needs, which are an extra of this one."""

from importlib import import_module

INSTALL = "pip install 'pd_mmdet[onnx]'"


def check_packages(*names: str) -> None:
    """Refuse to go on where a package is missing.

    Raises:
        ModuleNotFoundError: The message says how to install it.
    """
    for name in names:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(f'{error.name} is not installed: {INSTALL}') from None
