from copy import deepcopy
from fractions import Fraction

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.runner import set_random_seed

from pd_mmdet.afp.preprocessor import large_divisor, rescale_preprocessor
from pd_mmdet.testing.noise import Annotations, data_samples, images

RATIOS = [Fraction(3, 2), Fraction(2), Fraction(4)]


def model_cfg(**preprocessor) -> dict:
    return dict(
        type='RetinaNet', data_preprocessor=dict(type='DetDataPreprocessor', **preprocessor)
    )


@pytest.mark.parametrize(
    'divisor, ratio, expected',
    [
        (32, '2', 64),
        (32, '4', 128),
        (32, '3/2', 96),  # 96 = 3/2 × 64; 48 is no multiple of 32
        (32, '4/3', 128),  # 128 = 4/3 × 96
        (32, '5/4', 160),
        (1, '2', 2),
        (1, '3/2', 3),
        (1, '5/4', 5),
        (6, '5/4', 30),
    ],
)
def test_divisor_suits_the_detector_on_both_images(divisor, ratio, expected):
    ratio = Fraction(ratio)
    assert large_divisor(divisor, ratio) == expected
    assert expected % divisor == 0 and expected / ratio % divisor == 0
    cfg = rescale_preprocessor(model_cfg(pad_size_divisor=divisor), ratio)
    assert cfg.data_preprocessor.pad_size_divisor == expected


def test_without_a_divisor_there_is_one_pixel_of_padding_at_most_per_window():
    assert rescale_preprocessor(model_cfg(), Fraction(3, 2)).data_preprocessor.pad_size_divisor == 3
    assert rescale_preprocessor(dict(type='RetinaNet'), Fraction(2)) == dict(type='RetinaNet')


def test_its_input_stays_as_it_was():
    augment = dict(type='BatchSyncRandomResize', random_size_range=(64, 128))
    cfg = model_cfg(pad_size_divisor=32, batch_augments=[augment])
    for given in (cfg, ConfigDict(cfg)):
        before = deepcopy(given)
        rescaled = rescale_preprocessor(given, Fraction(2))
        assert given == before
        rescaled.data_preprocessor.batch_augments.append(1)
        assert given == before
        assert rescaled.type == 'RetinaNet'


AUGMENTS = {
    'pad': dict(type='BatchFixedSizePad', size=(160, 224)),
    'resize': dict(type='BatchSyncRandomResize', random_size_range=(64, 320), interval=1),
    'resize64': dict(
        type='mmdet.BatchSyncRandomResize',
        random_size_range=(64, 320),
        size_divisor=64,
        interval=1,
    ),
    'scale': dict(type='BatchResize', scale=(72, 160)),
    'scale64': dict(type='BatchResize', scale=(72, 160), pad_size_divisor=64),
}


@pytest.mark.parametrize('ratio', [Fraction(2), Fraction(4)])
@pytest.mark.parametrize('augment', AUGMENTS)
def test_augmented_batches_are_the_ratio_times_as_large(augment, ratio):
    """As MMDetection's own augmentations do it, drawing the same."""
    MessageHub.get_current_instance().update_info('iter', 0)
    small_cfg = model_cfg(pad_size_divisor=32, batch_augments=[AUGMENTS[augment]])
    shapes = {}
    for k, cfg in ((1, small_cfg), (ratio, rescale_preprocessor(small_cfg, ratio))):
        set_random_seed(0)
        preprocessor = MODELS.build(cfg['data_preprocessor'])
        for _ in range(3):  # BatchSyncRandomResize draws for the next batch
            samples = data_samples([(96, 128)], (96, 128), Fraction(k), Annotations(1))
            batch = dict(inputs=images([(96, 128)], Fraction(k)), data_samples=samples)
            batch = preprocessor(batch, training=True)
            shapes.setdefault(k, []).append(batch['inputs'].shape[-2:])
    assert shapes[ratio] == [torch.Size(int(side * ratio) for side in own) for own in shapes[1]]
    assert shapes[1][-1] != (96, 128)


@pytest.mark.parametrize('ratio', ['4/3', '3/2', '5/4'])
@pytest.mark.parametrize('augment', AUGMENTS)
def test_augmented_batches_are_divisible_by_any_ratio(augment, ratio):
    MessageHub.get_current_instance().update_info('iter', 0)
    ratio = Fraction(ratio)
    cfg = rescale_preprocessor(
        model_cfg(pad_size_divisor=32, batch_augments=[AUGMENTS[augment]]), ratio
    )
    preprocessor = MODELS.build(cfg.data_preprocessor)
    for _ in range(3):
        samples = data_samples([(96, 120)], (96, 120), ratio, Annotations(1))
        batch = dict(inputs=images([(96, 120)], ratio), data_samples=samples)
        inputs = preprocessor(batch, training=True)['inputs']
        assert all((side / ratio).denominator == 1 for side in inputs.shape[-2:])


@pytest.mark.parametrize('ratio', RATIOS)
def test_boxinst_compares_the_colours_of_the_small_images_cells(ratio):
    """On a large image whose pixels are the small one's, repeated, the maps are the same."""
    cfg = model_cfg(mean=[0.0] * 3, std=[1.0] * 3, bottom_pixels_removed=8)
    cfg['data_preprocessor']['type'] = 'BoxInstDataPreprocessor'
    torch.manual_seed(0)
    cells = torch.randint(100, 108, (3, 16, 24)).float()
    masks = []
    for k, own in ((Fraction(1), cfg), (ratio, rescale_preprocessor(cfg, ratio))):
        image = cells.repeat_interleave(int(4 * k), 1).repeat_interleave(int(4 * k), 2)
        samples = data_samples([(64, 96)], (64, 96), k, Annotations(1))
        preprocessor = MODELS.build(own['data_preprocessor'])
        batch = preprocessor(dict(inputs=[image], data_samples=samples), training=True)
        masks.append(batch['data_samples'][0].gt_instances.pairwise_masks)
    assert 0 < masks[0].mean() < 1
    assert torch.equal(*masks)


def test_boxinst_refuses_a_ratio_that_splits_its_cells():
    cfg = model_cfg()
    cfg['data_preprocessor']['type'] = 'BoxInstDataPreprocessor'
    with pytest.raises(ValueError, match='ratio=4/3: .*= 16/3 pixels'):
        rescale_preprocessor(cfg, Fraction(4, 3))
