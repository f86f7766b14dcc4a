"""Check the four invariants of AFP on a student's detector and its assistant.

The student D reads the small image, its assistant A the large one. Both run on noise, from images
and data samples to losses and predictions, which are compared. A check raises an AssertionError
that says what differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import torch
from mmdet.models.roi_heads.roi_extractors import BaseRoIExtractor
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.runner import set_random_seed
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils._pytree import tree_leaves

from .noise import Annotations, data_samples, images

NOT_HEADS = ('data_preprocessor', 'backbone', 'neck')
DENSE_HEADS = ('rpn_head', 'bbox_head', 'mask_head', 'semantic_head', 'roi_head.semantic_head')
BOX_LOSS = re.compile('bbox|box|iou|loc|pts|xy|wh|pos|mask')
Shapes = list[tuple[int, int]]
SHAPES = [
    [(256, 384), (192, 240)],
    *([shape] * 2 for shape in ((256, 384), (300, 300), (512, 512))),
]
ODD_SHAPES = [[(n * 101, n * 75), (n * 67, n * 123)] for n in (1, 2, 4)]
ODD_SHAPES.append([(128, 96), (64, 128)])  # for those whose pipelines alone pad, to multiples of 32


@dataclass
class Pair:
    """D and A with the same weights, and what they are tried on.

    Args:
        student: D.
        assistant: A.
        ratio: Side of A's images over D's.
        annotations: What they are trained on.
    """

    student: nn.Module
    assistant: nn.Module
    ratio: Fraction
    annotations: Annotations

    @classmethod
    def build(
        cls,
        student_cfg: dict,
        ratio: Fraction,
        annotations: Annotations,
        kernel: str = 'average',
    ) -> Pair:
        """Build a pair with random weights, with which the heads detect something everywhere."""
        cfg = dict(type='AFPDetector', detector=student_cfg, ratio=ratio, kernel=kernel)
        assistant = MODELS.build(cfg)  # first: it refuses what cannot be aligned
        student = MODELS.build(deepcopy(student_cfg))
        # as both views of a pair are padded
        divisor = Fraction(assistant.data_preprocessor.pad_size_divisor) / ratio
        student.data_preprocessor.pad_size_divisor = int(divisor)
        set_random_seed(0)
        with torch.no_grad():
            for parameter in _head_parameters(student):
                if parameter.dim() > 1:
                    parameter.normal_(std=(2 / parameter[0].numel()) ** 0.5)
        assistant.load_state_dict(student.state_dict(), strict=False)
        return cls(student, assistant, ratio, annotations)

    @property
    def sides(self) -> list[tuple[nn.Module, Fraction]]:
        """D and A, each with the side of its image over that of the small one."""
        return [(self.student, Fraction(1)), (self.assistant, self.ratio)]

    @cached_property
    def odd_shapes(self) -> Shapes:
        """Sizes of small images: odd if the ratio allows it, and the smallest that D can read."""
        q = self.ratio.denominator
        odd = [
            [tuple(-(-side // q) * q for side in shape) for shape in each] for each in ODD_SHAPES
        ]
        return self._first_readable(odd, rescale=True)

    @cached_property
    def shapes(self) -> Shapes:
        """Sizes of small images whose features are noise; the first is the shape of the batch."""
        return self._first_readable(SHAPES, rescale=False)

    @cached_property
    def pyramid(self) -> list[Tensor]:
        """Noise with the shapes of D's features of images of ``shapes``."""
        with torch.no_grad():
            feats = self.student.eval().extract_feat(torch.zeros(1, 3, *self.shapes[0]))
        set_random_seed(0)
        return [torch.randn(len(self.shapes), *feat.shape[1:]) for feat in feats]

    def _first_readable(self, candidates: list[Shapes], rescale: bool) -> Shapes:
        for shapes in candidates:
            try:
                self.read(self.student, shapes, Fraction(1), rescale)
            except (RuntimeError, AssertionError, IndexError) as caught:
                error = caught
            else:
                return shapes
        raise ValueError(f'the detector cannot read images of {shapes} pixels: {error}')

    def read(
        self, model: nn.Module, shapes: Shapes, ratio: Fraction, rescale: bool = True
    ) -> list[DetDataSample]:
        """Return a model's predictions for images of noise.

        Args:
            model: D or A.
            shapes: Sizes of the small images.
            ratio: Side of the model's images over that of the small ones.
            rescale: Whether predictions are in pixels of the file, not of the model's images.
        """
        set_random_seed(0)
        annotations = self.annotations._replace(masks=None, sem_seg=False)
        samples = data_samples(shapes, shapes[0], ratio, annotations)
        batch = dict(inputs=images(shapes, ratio), data_samples=samples)
        batch = model.data_preprocessor(batch, training=False)
        with torch.no_grad():
            return model.eval().predict(batch['inputs'], batch['data_samples'], rescale=rescale)


def _head_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    for name, parameter in model.named_parameters():
        if name.partition('.')[0] not in NOT_HEADS:
            yield parameter


@contextmanager
def _outputs(modules: Iterable[nn.Module]) -> Iterator[list]:
    """Collect the outputs of modules, in the order in which they run."""
    outputs: list = []
    hooks = [
        module.register_forward_hook(lambda *args: outputs.append(args[-1])) for module in modules
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _features(model: nn.Module, function: Any) -> Iterator[None]:
    """Replace a model's ``extract_feat`` by a function of the images."""
    model.extract_feat = function
    try:
        yield
    finally:
        del model.extract_feat


# ---------------------------------------------------------------- invariant 1: the weights


def check_weights(pair: Pair) -> None:
    """Check invariant 1: the state dicts have the same keys and shapes, and can be exchanged."""
    student, assistant = pair.student.state_dict(), pair.assistant.state_dict()
    different = sorted(student.keys() ^ assistant.keys())
    assert list(student) == list(assistant), f'different keys: {different}'
    pair.assistant.load_state_dict(student, strict=True)
    pair.student.load_state_dict(assistant, strict=True)


# ---------------------------------------------------------------- invariants 2 and 3: images


def check_shapes(pair: Pair) -> None:
    """Check invariant 2: outputs of neck and dense heads have the same shapes, at odd sizes."""
    student, assistant = (_output_shapes(pair, model, ratio) for model, ratio in pair.sides)
    assert assistant == student, f'shapes {assistant} where the student has {student}'


def check_priors(pair: Pair) -> None:
    """Check invariant 3: boxes that depend only on the priors are the same in pixels of the file.

    Heads whose weights are all 0 output their biases everywhere, so boxes differ only by their
    priors. The heads keep these weights.
    """
    found = []
    for model, ratio in pair.sides:
        _output_constants(model)

        def extract_feat(inputs: Tensor, model: nn.Module = model) -> list[Tensor]:
            return [torch.zeros_like(feat) for feat in type(model).extract_feat(model, inputs)]

        shapes = pair.odd_shapes
        with _features(model, extract_feat):
            found.append(pair.read(model, shapes, ratio))
    _assert_same_predictions(found[1], found[0], Fraction(1))


@torch.no_grad()
def _output_constants(model: nn.Module) -> None:
    for parameter in _head_parameters(model):
        if parameter.dim() > 1:
            parameter.zero_()
        else:
            parameter.copy_(torch.linspace(0.25, 1, parameter.numel()).view_as(parameter))


def _output_shapes(pair: Pair, model: nn.Module, ratio: Fraction) -> list[torch.Size]:
    """Return the shapes of the features and of the outputs of dense heads."""
    shapes, feats = pair.odd_shapes, []

    def extract_feat(inputs: Tensor) -> tuple[Tensor, ...]:
        feats.append(type(model).extract_feat(model, inputs))
        return feats[-1]

    heads = [part for name, part in model.named_modules() if name in DENSE_HEADS]
    with _outputs(heads) as outputs, _features(model, extract_feat):
        pair.read(model, shapes, ratio)
    return [leaf.shape for leaf in tree_leaves((feats, outputs)) if getattr(leaf, 'ndim', 0) > 3]


# ---------------------------------------------------------------- invariant 4: one pyramid


def check_losses(pair: Pair, levels: int = 3) -> None:
    """Check invariant 4: losses of the same pyramid, and their gradients, are the same.

    Args:
        pair: D and A.
        levels: Number of levels to which a box loss must have gradients (all, if there are fewer).
    """
    (expected, feats), (found, large_feats) = (
        _losses(pair, model, ratio) for model, ratio in pair.sides
    )
    assert all(loss.isfinite().all() for loss in expected.values()), f'losses are {expected}'
    boxes = [loss for name, loss in expected.items() if BOX_LOSS.search(name)]
    used = sum(bool(gradient.any()) for gradient in _gradients(boxes, feats))
    assert used >= min(levels, len(feats)), f'only {used} of {len(feats)} levels learn boxes'
    assert_close(found, expected, rtol=1e-4, atol=1e-6)
    gradients = _gradients(expected.values(), feats)
    assert_close(_gradients(found.values(), large_feats), gradients, rtol=1e-3, atol=1e-6)


def check_predictions(pair: Pair) -> None:
    """Check invariant 4: RoI features and predictions of the same pyramid are the same.

    Scores, labels, masks and the order are the same. Boxes are multiplied by the ratio, or the same
    in pixels of the file.
    """
    for rescale in (True, False):
        (expected, expected_rois), (found, rois) = (
            _predictions(pair, model, ratio, rescale) for model, ratio in pair.sides
        )
        assert_close(rois, expected_rois, msg=lambda text: f'RoI features: {text}')
        _assert_same_predictions(found, expected, Fraction(1) if rescale else pair.ratio)


def _losses(
    pair: Pair, model: nn.Module, ratio: Fraction
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Return the losses that MMDetection sums up, and the pyramid that they are computed from."""
    samples = data_samples(pair.shapes, pair.shapes[0], ratio, pair.annotations)
    feats = [feat.clone().requires_grad_() for feat in pair.pyramid]
    hub = MessageHub.get_current_instance()
    hub.update_info_dict(dict(epoch=1000, iter=1000))  # past any warm-up
    set_random_seed(0)
    with _features(model, lambda inputs: tuple(feats)):
        losses = model.train().loss(_blank(samples), samples)
    return {
        name: sum(loss.sum() for loss in tree_leaves(value))
        for name, value in losses.items()
        if 'loss' in name
    }, feats


def _gradients(losses: Iterable[Tensor], feats: list[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(sum(losses), feats, retain_graph=True, materialize_grads=True)


def _predictions(
    pair: Pair, model: nn.Module, ratio: Fraction, rescale: bool
) -> tuple[list[DetDataSample], list[Tensor]]:
    """Return the predictions from the pyramid, and the RoI features."""
    samples = data_samples(pair.shapes, pair.shapes[0], ratio, pair.annotations)
    feats = pair.pyramid
    extractors = [part for part in model.modules() if isinstance(part, BaseRoIExtractor)]
    set_random_seed(0)
    with (
        torch.no_grad(),
        _outputs(extractors) as rois,
        _features(model, lambda inputs: tuple(feats)),
    ):
        return model.eval().predict(_blank(samples), samples, rescale=rescale), rois


def _blank(samples: list[DetDataSample]) -> Tensor:
    """Return images that are not read."""
    return torch.zeros(1).expand(len(samples), 3, *samples[0].batch_input_shape)


def _assert_same_predictions(
    found: list[DetDataSample], expected: list[DetDataSample], ratio: Fraction
) -> None:
    """Check that predictions are the same, in pixels that are ``ratio`` times as many."""
    n = 0
    for sample, expected_sample in zip(found, expected, strict=True):
        for key in (key for key in expected_sample.keys() if key.startswith('pred_')):
            data, wanted = sample.get(key), expected_sample.get(key)
            assert {*data.keys()} == {*wanted.keys()}, f'{key}: {data.keys()}, {wanted.keys()}'
            n += int(wanted.bboxes.isfinite().all(-1).sum()) if 'bboxes' in wanted else 1
            for name, value in sorted(wanted.items()):  # their order is that of a set
                if name == 'bboxes':
                    value = value * float(ratio)
                actual = data.get(name)
                if isinstance(value, Tensor) and value.ndim > 2:
                    actual = _at_small_pixels(actual, value.shape[-2:], ratio)
                # Some heads predict NaN where a prior lies in the padding.
                assert_close(
                    actual,
                    value,
                    rtol=1e-4,
                    atol=1e-3,
                    equal_nan=True,
                    msg=lambda text, name=f'{key}.{name}': f'{name}: {text}',
                )
    assert n, 'nothing is predicted'


def _at_small_pixels(maps: Tensor, shape: tuple[int, int], ratio: Fraction) -> Tensor:
    """Sample maps (n, H, W) at the centres of the small pixels."""
    expected = tuple(int(side * ratio) for side in shape)
    assert maps.shape[-2:] == expected, f'maps of {tuple(maps.shape)}, not {expected}'
    rows, columns = (((torch.arange(side) + 0.5) * float(ratio)).long() for side in shape)
    return maps[..., rows[:, None], columns]


CHECKS = (
    (1, check_weights),
    (4, check_losses),
    (4, check_predictions),
    (2, check_shapes),
    (3, check_priors),
)
"""All checks with the numbers of their invariants; the last one changes the heads' weights."""
