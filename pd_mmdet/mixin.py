from torch import nn


def put_in_front(mixin: type, model: nn.Module) -> nn.Module:
    """Put a mixin in front of a built model's own class, so that the model is both.

    The model's parameters keep their names; ``super()`` in the mixin is the model's own class.
    """
    own = type(model)
    model.__class__ = type(f'{mixin.__name__}[{own.__name__}]', (mixin, own), {})
    return model


def with_preprocessor(model_cfg: dict, data_preprocessor: dict | None) -> dict:
    """A model's config with a data preprocessor, where it has none of its own."""
    if data_preprocessor is None or model_cfg.get('data_preprocessor'):
        return model_cfg
    # A copy: classifiers write into it what their own training adds.
    return {**model_cfg, 'data_preprocessor': dict(data_preprocessor)}
