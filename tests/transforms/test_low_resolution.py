from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.registry import DefaultScope

from pd_mmdet.transforms import LowResolution

RATIOS = ['5/4', '3/2', 2, 3, 4]
BOXES = torch.tensor([[3.0, 5.0, 40.0, 50.0], [10.5, 0.0, 93.0, 67.0], [0.0, 1.0, 2.0, 3.0]])


def photograph(height=67, width=93, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, 3), dtype=np.uint8)


def results_of(img, **extra):
    height, width = img.shape[:2]
    return dict(
        img=img,
        img_id=7,
        img_path='photographs/7.jpg',
        img_shape=(height, width),
        ori_shape=(2 * height, 3 * width),
        scale_factor=(1 / 3, 1 / 2),
        gt_bboxes=HorizontalBoxes(BOXES.clone()),
        gt_bboxes_labels=np.array([1, 0, 2]),
        gt_ignore_flags=np.array([False, False, True]),
        instances=[dict(bbox=[0, 0, 1, 1], bbox_label=0)],
        **extra,
    )


def overlaps(large, small):
    """Row i: the share of each large cell in small cell i."""
    k = large / small
    weights = np.zeros((small, large))
    for i in range(small):
        for j in range(large):
            weights[i, j] = max(0, min((i + 1) * k, j + 1) - max(i * k, j)) / k
    return weights


DTYPES = {  # and the factor that brings grey levels of 0 to 255 to their range
    np.uint8: 1,
    np.uint16: 257,
    np.int16: -100,
    np.float32: 1 / 255,
    np.float64: 1,
}


@pytest.mark.parametrize(
    ('ratio', 'dtype'),
    [*((ratio, np.uint8) for ratio in RATIOS), *(('3/2', dtype) for dtype in [*DTYPES][1:])],
)
def test_the_small_image_is_the_mean_weighted_by_area(ratio, dtype):
    img = (photograph() * float(DTYPES[dtype])).astype(dtype)
    views = LowResolution(ratio)(results_of(img))
    large, small = views['hr']['img'], views['lr']['img']

    k, p = Fraction(ratio), Fraction(ratio).numerator
    assert large.shape[0] % p == large.shape[1] % p == 0
    assert 0 <= large.shape[0] - 67 < p and 0 <= large.shape[1] - 93 < p
    below, right = large.shape[0] - 67, large.shape[1] - 93
    np.testing.assert_array_equal(large, np.pad(img, ((0, below), (0, right), (0, 0)), mode='edge'))

    assert tuple(k * side for side in small.shape[:2]) == large.shape[:2]
    rows = overlaps(large.shape[0], small.shape[0])
    columns = overlaps(large.shape[1], small.shape[1])
    mean = np.einsum('ai,bj,ijc->abc', rows, columns, large.astype(float))
    assert small.dtype == dtype
    assert np.abs(small - mean).max() < (0.501 if np.issubdtype(dtype, np.integer) else 1e-3)


@pytest.mark.parametrize('flip', [np.s_[:], np.s_[:, ::-1], np.s_[3:, 5:]])
@pytest.mark.parametrize('channels', [(), (1,), (2,), (7,)])
@pytest.mark.parametrize('interpolation', ['area', 'bicubic'])
def test_each_channel_is_what_it_is_alone(flip, channels, interpolation):
    """Whatever OpenCV does to images of one channel, or of more than four."""
    img = np.random.RandomState(0).randint(0, 60000, (67, 93, *channels)).astype(np.uint16)[flip]
    transform = LowResolution('3/2', interpolation=interpolation, degradation=dict(blur=1.0))
    views = transform(dict(img=img))
    for channel in range(*channels or (1,)):
        plane = np.ascontiguousarray(img[..., channel] if channels else img)
        expected = transform(dict(img=plane))
        for view in ('hr', 'lr'):
            assert views[view]['img'].shape == expected[view]['img'].shape + channels
            found = views[view]['img'][..., channel] if channels else views[view]['img']
            # OpenCV may round the few values in the middle of two up or down.
            np.testing.assert_allclose(found, expected[view]['img'], atol=1)


@pytest.mark.parametrize('img', [photograph()[..., :1], photograph()[..., 0][..., None]])
@pytest.mark.parametrize('flip', [np.s_[:], np.s_[:, ::-1]])
def test_a_last_dimension_of_one_stays_in_any_memory_order(img, flip):
    views = LowResolution(1.5)(dict(img=img[flip]))
    assert views['hr']['img'].shape == (69, 93, 1) and views['lr']['img'].shape == (46, 62, 1)
    np.testing.assert_array_equal(views['hr']['img'][:67], img[flip])


@pytest.mark.parametrize(
    ('name', 'code'),
    [
        ('bilinear', cv2.INTER_LINEAR),
        ('bicubic', cv2.INTER_CUBIC),
        ('nearest', cv2.INTER_NEAREST),
    ],
)
def test_other_interpolations_are_opencvs(name, code):
    img = photograph(66, 93)
    small = LowResolution(1.5, views=['lr'], interpolation=name)(results_of(img.copy()))
    np.testing.assert_array_equal(small['img'], cv2.resize(img, (62, 44), interpolation=code))


@pytest.mark.parametrize('ratio', RATIOS)
def test_boxes_and_metainfo_are_divided_by_the_ratio(ratio):
    homography = np.array([[2, 0, 1], [0, 2, 3], [0, 0, 1]], dtype=np.float32)
    results = results_of(
        photograph(),
        homography_matrix=homography,
        border=np.array([2, 60, 5, 90], dtype=np.float32),
        pad_shape=(67, 93, 3),
        proposals=BOXES.numpy().copy(),
        proposals_scores=np.ones(3, dtype=np.float32),
    )
    views = LowResolution(ratio)(results)
    large, small = views['hr'], views['lr']
    k = float(Fraction(ratio))

    torch.testing.assert_close(large['gt_bboxes'].tensor, BOXES, rtol=0, atol=0)
    torch.testing.assert_close(small['gt_bboxes'].tensor, BOXES / k)
    np.testing.assert_array_equal(large['proposals'], BOXES.numpy())
    np.testing.assert_allclose(small['proposals'], BOXES.numpy() / k, rtol=1e-6)
    assert small['proposals'].dtype == np.float32
    assert small['scale_factor'] == (1 / 3 / k, 1 / 2 / k)
    assert large['scale_factor'] == (1 / 3, 1 / 2)
    assert large['border'].tolist() == [2, 60, 5, 90]
    np.testing.assert_allclose(small['border'] * k, [2, 60, 5, 90], rtol=1e-6)
    point = np.array([11.0, 7.0, 1.0])
    np.testing.assert_allclose(
        (small['homography_matrix'] @ point)[:2] * k, (homography @ point)[:2], rtol=1e-6
    )
    for view in (large, small):
        assert view['img_shape'] == view['img'].shape[:2]
        assert view['pad_shape'] == view['img'].shape
        assert view['ori_shape'] == (134, 279)
        assert view['instances'] == results['instances']
        assert view['gt_ignore_flags'].tolist() == [False, False, True]
        assert view['gt_bboxes_labels'].tolist() == [1, 0, 2]


@pytest.mark.parametrize('ratio', RATIOS)
@pytest.mark.parametrize('resize', [None, dict(scale=(150, 150), keep_ratio=True)])
def test_boxes_of_either_view_return_to_the_file(ratio, resize):
    """By the rule of MMDetection's heads: boxes / scale_factor."""
    results = dict(img=photograph(), gt_bboxes=HorizontalBoxes(BOXES.clone()))
    results.update(img_shape=(67, 93), ori_shape=(67, 93))
    if resize:
        results = TRANSFORMS.build(dict(type='Resize', **resize))(results)
    for view in LowResolution(ratio)(results).values():
        width, height = view['scale_factor']
        found = view['gt_bboxes'].tensor / torch.tensor([width, height, width, height])
        torch.testing.assert_close(found, BOXES)


def test_plain_arrays_of_boxes():
    results = results_of(photograph()) | dict(gt_bboxes=BOXES.numpy())
    views = LowResolution(2)(results)
    np.testing.assert_array_equal(views['lr']['gt_bboxes'], BOXES.numpy() / 2)
    assert views['lr']['gt_bboxes'].dtype == np.float32


def test_an_image_without_objects():
    results = results_of(photograph()) | dict(
        gt_bboxes=HorizontalBoxes(torch.zeros(0, 4)),
        gt_bboxes_labels=np.zeros(0, dtype=np.int64),
        gt_ignore_flags=np.zeros(0, dtype=bool),
        gt_masks=BitmapMasks([], 67, 93),
    )
    views = LowResolution(1.5)(results)
    assert views['lr']['gt_bboxes'].tensor.shape == (0, 4)
    assert views['lr']['gt_masks'].masks.shape == (0, *views['lr']['img_shape'])
    assert views['hr']['gt_masks'].masks.shape == (0, *views['hr']['img_shape'])


@pytest.mark.parametrize('ratio', RATIOS)
def test_bitmap_masks_keep_the_cells_that_are_mostly_covered(ratio):
    mask = np.zeros((1, 67, 93), dtype=np.uint8)
    mask[0, 10:43, 20:71] = 1
    views = LowResolution(ratio)(results_of(photograph(), gt_masks=BitmapMasks(mask, 67, 93)))
    large, small = (views[view]['gt_masks'] for view in ('hr', 'lr'))
    assert large.masks.shape[1:] == views['hr']['img_shape']
    assert small.masks.shape[1:] == views['lr']['img_shape']
    np.testing.assert_array_equal(large.masks[0, :67, :93], mask[0])
    assert large.masks.sum() == mask.sum()

    rows = overlaps(large.masks.shape[1], small.masks.shape[1])
    columns = overlaps(large.masks.shape[2], small.masks.shape[2])
    share = rows @ large.masks[0] @ columns.T
    decided = np.abs(share - 0.5) > 1e-6
    np.testing.assert_array_equal(small.masks[0][decided], (share > 0.5)[decided])


def test_polygon_masks_are_divided():
    polygon = np.array([3.0, 4.0, 30.0, 8.0, 9.0, 60.0])
    masks = PolygonMasks([[polygon]], 67, 93)
    views = LowResolution(1.5)(results_of(photograph(), gt_masks=masks))
    np.testing.assert_array_equal(views['hr']['gt_masks'].masks[0][0], polygon)
    np.testing.assert_allclose(views['lr']['gt_masks'].masks[0][0], polygon / 1.5)
    for view in views.values():
        assert (view['gt_masks'].height, view['gt_masks'].width) == view['img_shape']


def test_segmentation_map_follows():
    """Blocks of the size of a small cell, so that every way of sampling agrees."""
    labels = np.random.RandomState(0).randint(0, 20, (17, 24), dtype=np.uint8)
    large = labels.repeat(4, axis=0).repeat(4, axis=1)[:67, :93]
    views = LowResolution(4)(results_of(photograph(), gt_seg_map=large.copy()))
    np.testing.assert_array_equal(views['lr']['gt_seg_map'], labels)
    np.testing.assert_array_equal(views['hr']['gt_seg_map'][:67, :93], large)
    assert views['hr']['gt_seg_map'].shape == views['hr']['img_shape']


@pytest.mark.parametrize('view', ['hr', 'lr'])
def test_one_view_stays_an_ordinary_results_dict(view):
    both = LowResolution(1.5)(results_of(photograph()))[view]
    one = LowResolution(1.5, views=(view,))(results_of(photograph()))
    assert one.keys() == both.keys()
    np.testing.assert_array_equal(one['img'], both['img'])
    torch.testing.assert_close(one['gt_bboxes'].tensor, both['gt_bboxes'].tensor)
    assert one['img_shape'] == both['img_shape']


def test_the_large_image_is_not_copied_where_it_fits():
    img = photograph(66, 90)
    assert LowResolution(2)(results_of(img))['hr']['img'] is img


@pytest.mark.parametrize('flip', [np.s_[:, ::-1], np.s_[::-1], np.s_[::-1, ::-1], np.s_[3:, 5:]])
@pytest.mark.parametrize('channels', [np.s_[..., [2, 0, 1]], np.s_[..., ::-1], np.s_[..., 0]])
def test_any_memory_order_is_read(flip, channels):
    img = photograph()[channels][flip]
    expected = LowResolution(1.5)(results_of(np.ascontiguousarray(img)))
    views = LowResolution(1.5)(results_of(img))
    for view in ('hr', 'lr'):
        np.testing.assert_array_equal(views[view]['img'], expected[view]['img'])


def test_labels_of_whole_images_stay():
    labels = dict(gt_label=3, gt_score=np.array([0.0, 1.0]), gt_label_difficult=[1], sample_idx=5)
    views = LowResolution(2)(dict(img=photograph(), **labels))
    for view in views.values():
        assert {key: view[key] for key in labels} == labels


@pytest.mark.parametrize('key', ['gt_keypoints', 'gt_depth', 'corners', 'mask'])
def test_an_unknown_annotation_is_refused(key):
    with pytest.raises(ValueError, match=f"cannot convert '{key}'"):
        LowResolution(2)(results_of(photograph(), **{key: np.zeros((3, 2))}))


def test_a_small_image_is_refused_with_its_file_name():
    assert LowResolution(4, min_side=16)(results_of(photograph(64, 93)))
    with pytest.raises(ValueError, match=r'photographs/7\.jpg: .* 24x15 .* min_side=16'):
        LowResolution(4, min_side=16)(results_of(photograph(60, 93)))


@pytest.mark.parametrize(
    'options',
    [
        dict(ratio=1),
        dict(enlarge='5:4'),
        dict(enlarge=1.2),
        dict(views=()),
        dict(views=('hr', 'hr')),
        dict(views=('lr', 'mr')),
        dict(views='lr'),
        dict(interpolation='lanczos'),
        dict(degradation=dict(fog=1)),
        dict(degradation=dict(blur=-1)),
        dict(degradation=dict(noise=(3, 1))),
        dict(degradation=dict(noise=(1, 2, 3))),
        dict(degradation=dict(jpeg=0)),
        dict(degradation=dict(jpeg=(50, 101))),
        dict(degradation=dict(jpeg=50.5)),
    ],
)
def test_bad_options_are_refused_when_built(options):
    with pytest.raises(ValueError, match=r'got'):
        LowResolution(**(dict(ratio=2) | options))


def degraded(img, seed=None, img_id=7, **degradation):
    """Both views of a degraded image."""
    transform = LowResolution(2, degradation=degradation, seed=seed)
    views = transform(results_of(img.copy()) | dict(img_id=img_id))
    return views['hr']['img'], views['lr']['img']


def test_degradation_leaves_the_large_image_clean():
    img = photograph(64, 96)
    large, small = degraded(img, blur=1.0, noise=5, jpeg=30)
    np.testing.assert_array_equal(large, img)
    assert small.shape == (32, 48, 3) and small.dtype == np.uint8


def test_blur_is_in_pixels_of_the_large_image():
    """A Gaussian leaves sin(w x) its shape and multiplies it by exp(-(sigma w)^2 / 2)."""
    waves = np.sin(2 * np.pi * np.arange(160) / 16)
    img = np.broadcast_to((128 + 100 * waves)[None, :, None], (64, 160, 3)).astype(np.float32)
    _, sharp = degraded(img)
    _, blurred = degraded(img, blur=3.0)
    inside = slice(10, -10)
    shrunk = np.exp(-((3.0 * 2 * np.pi / 16) ** 2) / 2)
    np.testing.assert_allclose(
        blurred[:, inside] - 128, shrunk * (sharp[:, inside] - 128), atol=0.5
    )


@pytest.mark.parametrize(
    ('dtype', 'grey', 'sigma'),
    [
        *[(np.uint8, 128, 6.0), (np.uint16, 40000, 1500.0), (np.uint16, 40000, 6.0)],
        *[(np.int16, -500, 6.0), (np.float32, 0.5, 0.02), (np.float32, 128, 6.0)],
        (np.float64, 1.0, 0.1),
    ],
)
def test_noise_is_in_the_values_of_the_image(dtype, grey, sigma):
    _, noisy = degraded(np.full((256, 256, 3), grey, dtype=dtype), noise=sigma)
    assert noisy.dtype == dtype
    assert noisy.std() == pytest.approx(sigma, rel=0.03)
    assert noisy.mean() == pytest.approx(grey, abs=0.04 * sigma)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int16])
def test_noise_stays_in_the_range_of_whole_numbers(dtype):
    """Half of the values would leave it: they are where the range ends."""
    levels = np.iinfo(dtype)
    for grey in (levels.min, levels.max):
        _, noisy = degraded(np.full((256, 256), grey, dtype=dtype), noise=3.0)
        assert (noisy == grey).mean() == pytest.approx(0.5 + 0.066, abs=0.02)  # and what is rounded
        assert np.abs(noisy.astype(float) - grey).max() < 20


def test_jpeg_is_opencvs():
    img = photograph(64, 96)
    _, clean = degraded(img)
    _, compressed = degraded(img, jpeg=40)
    _, code = cv2.imencode('.jpg', clean, [cv2.IMWRITE_JPEG_QUALITY, 40])
    np.testing.assert_array_equal(compressed, cv2.imdecode(code, cv2.IMREAD_COLOR))


@pytest.mark.parametrize('channels', [(), (1,)])
def test_jpeg_of_one_channel_is_opencvs(channels):
    img = photograph(64, 96)[..., 0]
    _, clean = degraded(img)
    _, compressed = degraded(img.reshape(64, 96, *channels), jpeg=40)
    _, code = cv2.imencode('.jpg', clean, [cv2.IMWRITE_JPEG_QUALITY, 40])
    expected = cv2.imdecode(code, cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(compressed, expected.reshape(32, 48, *channels))


@pytest.mark.parametrize('scale', [0, 1, 1 / 200, 1.5])
def test_jpeg_of_floats_is_that_of_their_grey_levels(scale):
    """Photometric transforms hand over such floats; they may be beyond 255, or black, too."""
    img = (photograph(64, 96) * scale).astype(np.float32)
    _, compressed = degraded(img, jpeg=40)
    _, clean = degraded(img)
    clean = np.minimum(clean, 255).round().astype(np.uint8)
    _, code = cv2.imencode('.jpg', clean, [cv2.IMWRITE_JPEG_QUALITY, 40])
    np.testing.assert_array_equal(compressed, cv2.imdecode(code, cv2.IMREAD_COLOR))
    assert compressed.dtype == np.float32


@pytest.mark.parametrize(
    'img',
    [
        photograph().astype(np.uint16),
        photograph().astype(np.int16),
        (photograph() / 255).astype(np.float32),
        photograph() * 16.0,
        photograph()[..., [0, 1, 2, 0]],
        photograph()[..., :2],
    ],
)
def test_what_jpeg_cannot_hold_is_refused(img):
    message = rf'degradation jpeg: .* image of {img.dtype}, shape \(68, 94, {img.shape[2]}\)'
    with pytest.raises(ValueError, match=message):
        degraded(img, noise=5, jpeg=40)
    assert degraded(img, noise=5)[1].dtype == img.dtype


def test_ranges_are_drawn_for_every_image():
    grey = np.full((256, 256, 3), 128, dtype=np.uint8)
    np.random.seed(0)
    spreads = [degraded(grey, noise=(2, 8))[1].std() for _ in range(20)]
    assert 2 <= min(spreads) < 4 and 6 < max(spreads) <= 8.2


def test_a_seed_ties_what_is_drawn_to_the_image():
    img = photograph(64, 96)
    options = dict(blur=(0.5, 2), noise=(1, 8), jpeg=(20, 90))
    before = np.random.get_state()[1].copy()
    first = degraded(img, seed=3, **options)[1]
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.testing.assert_array_equal(degraded(img, seed=3, **options)[1], first)
    assert (degraded(img, seed=4, **options)[1] != first).any()
    assert (degraded(img, seed=3, img_id=8, **options)[1] != first).any()


def test_images_without_an_id_are_told_by_their_place_in_the_dataset():
    transform = LowResolution(2, views=['lr'], degradation=dict(noise=5), seed=0)
    first, again, second = (
        transform(dict(img=photograph(), sample_idx=i))['img'] for i in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != second).any()


def test_without_a_seed_numpys_global_state_is_used():
    img = photograph(64, 96)
    np.random.seed(5)
    first, second = degraded(img, noise=5)[1], degraded(img, noise=5)[1]
    assert (first != second).any()
    np.random.seed(5)
    np.testing.assert_array_equal(degraded(img, noise=5)[1], first)


def test_is_registered_and_prints_its_options():
    transform = TRANSFORMS.build(dict(type='LowResolution', ratio='3/2', views=['lr'], seed=1))
    assert repr(transform) == (
        "LowResolution(ratio='3/2', views=('lr',), interpolation='area', degradation=None, "
        "seed=1, min_side=8, enlarge='1')"
    )
    assert "ratio='4', " in repr(LowResolution(4, enlarge=1.5))
    assert repr(LowResolution(4, enlarge=8 / 3)).endswith("enlarge='8/3')")


@pytest.mark.parametrize('project', ['mmdet', 'mmpretrain'])
def test_both_projects_find_it(project):
    registry = pytest.importorskip(f'{project}.registry').TRANSFORMS
    with DefaultScope.overwrite_default_scope(project):
        assert isinstance(registry.build(dict(type='LowResolution', ratio=2)), LowResolution)


def test_an_image_too_small_is_refused_where_only_the_large_view_is_read():
    with pytest.raises(ValueError, match=r'photographs/7\.jpg: .* 24x15 .* min_side=16'):
        LowResolution(4, views=['hr'], min_side=16)(results_of(photograph(60, 93)))


# Enlarged

ENLARGED = [(2, 2), (4, 2), (4, '8/3'), (2, '4/3'), ('3/2', 1.5), (3, '3/2')]
enlarged = pytest.mark.parametrize(('ratio', 'enlarge'), ENLARGED)


def test_enlarged_by_hand():
    """Two small pixels, the means 10 and 50, whose centres lie 2 pixels apart in ``lr``."""
    img = np.array([[0, 20, 40, 60]] * 4, dtype=np.uint8)
    views = LowResolution(2, enlarge=2, min_side=4)(dict(img=img))
    np.testing.assert_array_equal(views['lr']['img'], [[10, 20, 40, 50]] * 4)
    np.testing.assert_array_equal(views['hr']['img'], img)


@enlarged
@pytest.mark.parametrize('channels', [(), (1,), (3,), (7,)])
def test_the_small_image_is_enlarged_as_opencv_does(ratio, enlarge, channels):
    img = np.random.RandomState(0).randint(0, 256, (67, 93, *channels), dtype=np.uint8)
    views = LowResolution(ratio, enlarge=enlarge)(dict(img=img))
    large, found = views['hr']['img'], views['lr']['img']
    u = Fraction(enlarge)
    small = LowResolution(ratio, views=['lr'])(dict(img=large.copy()))['img']
    assert tuple(u * side for side in small.shape[:2]) == found.shape[:2]
    assert tuple(Fraction(ratio) / u * side for side in found.shape[:2]) == large.shape[:2]
    assert found.shape[2:] == channels and found.dtype == np.uint8
    for channel in range(*channels or (1,)):
        plane = small[..., channel] if channels else small
        expected = cv2.resize(plane.copy(), found.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        plane = found[..., channel] if channels else found
        np.testing.assert_allclose(plane.astype(int), expected, atol=1)


@enlarged
def test_annotations_are_those_of_the_ratio_of_the_views(ratio, enlarge):
    mask = np.zeros((1, 72, 96), dtype=np.uint8)
    mask[0, 10:43, 20:71] = 1
    extra = dict(
        homography_matrix=np.array([[2, 0, 1], [0, 2, 3], [0, 0, 1]], dtype=np.float32),
        border=np.array([2, 60, 5, 90], dtype=np.float32),
        pad_shape=(72, 96, 3),
        proposals=BOXES.numpy().copy(),
        gt_masks=BitmapMasks(mask, 72, 96),
        gt_seg_map=mask[0].copy(),
    )
    low = LowResolution(ratio, enlarge=enlarge)
    views = low(results_of(photograph(72, 96), **extra))
    large, found = views['hr'], views['lr']
    g = low.view_ratio
    if g == 1:
        expected = large
    else:
        expected = LowResolution(g)(results_of(photograph(72, 96), **extra))['lr']
    assert found.keys() == expected.keys()
    for key in found.keys() - {'img'}:
        one, other = found[key], expected[key]
        if key == 'gt_bboxes':
            one, other = one.tensor, other.tensor
        if key == 'gt_masks':
            one, other = one.masks, other.masks
        np.testing.assert_array_equal(one, other, err_msg=key)
    assert found['img'].shape[:2] == found['img_shape'] == found['gt_masks'].masks.shape[1:]


@enlarged
def test_the_masks_of_the_large_view_alone_carry_those_of_the_enlarged_one(ratio, enlarge):
    mask = np.random.RandomState(0).randint(0, 2, (2, 67, 93), dtype=np.uint8)
    views, hr = (
        LowResolution(ratio, views, enlarge=enlarge)(
            results_of(photograph(), gt_masks=BitmapMasks(mask, 67, 93))
        )
        for views in (('hr', 'lr'), ['hr'])
    )
    small = views['lr']['gt_masks']
    np.testing.assert_array_equal(
        hr['gt_masks'].resize((small.height, small.width), interpolation='area').masks, small.masks
    )


@pytest.mark.parametrize('enlarge', [1, 1.0, '1'])
def test_enlarge_1_changes_nothing(enlarge):
    options = dict(degradation=dict(blur=(0, 2), noise=(1, 9), jpeg=(20, 90)), seed=0)
    expected = LowResolution('3/2', **options)(results_of(photograph()))
    found = LowResolution('3/2', enlarge=enlarge, **options)(results_of(photograph()))
    for view in ('hr', 'lr'):
        np.testing.assert_array_equal(found[view]['img'], expected[view]['img'])
        assert torch.equal(found[view]['gt_bboxes'].tensor, expected[view]['gt_bboxes'].tensor)
        assert found[view]['scale_factor'] == expected[view]['scale_factor']


def test_what_is_enlarged_is_degraded_before():
    options = dict(degradation=dict(blur=1.0, noise=(1, 9), jpeg=(20, 90)), seed=0)
    small = LowResolution(2, views=['lr'], **options)(results_of(photograph(66, 94)))['img']
    found = LowResolution(2, views=['lr'], enlarge=2, **options)(results_of(photograph(66, 94)))
    expected = cv2.resize(small, (94, 66), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(found['img'], expected)


def test_min_side_holds_for_the_image_that_is_read():
    assert LowResolution(4, enlarge=2, min_side=30)(results_of(photograph(60, 93)))
    with pytest.raises(ValueError, match=r'is 48x30 .* ratio 4 and enlarge 2; .* min_side=32'):
        LowResolution(4, enlarge=2, min_side=32)(results_of(photograph(60, 93)))


def test_an_enlarge_beyond_the_large_image_is_refused():
    with pytest.raises(ValueError, match='enlarge=3 with ratio=2'):
        LowResolution(2, enlarge=3)
