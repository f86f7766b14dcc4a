from torch import nn


def put_in_front(mixin: type, model: nn.Module) -> nn.Module:
    """Put a mixin in front of a built model's own class, so that the model is both.

    The model's parameters keep their names; ``super()`` in the mixin is the model's own class.
    """
    own = type(model)
    model.__class__ = type(f'{mixin.__name__}[{own.__name__}]', (mixin, own), {})
    return model
