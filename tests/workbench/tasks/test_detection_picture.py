import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.dataset import BaseDataset
from mmengine.structures import InstanceData
from pycocotools import mask as rle

from pd_mmdet.workbench.tasks import detection_picture
from pd_mmdet.workbench.tasks.detection_picture import SIDE

METAINFO = dict(classes=('a', 'b'), palette=[(255, 0, 0), (0, 255, 0)])
SHAPE = (50, 100)  # of the file
SIZE = (SIDE, SIDE // 2)  # of what is drawn
SCALE = SIDE / 100


def instances(*boxes: list[float], masks: torch.Tensor | None = None) -> InstanceData:
    found = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.zeros(len(boxes), dtype=torch.long),
    )
    if masks is not None:
        found.masks = masks
    return found


def drawn(image: np.ndarray, found: InstanceData) -> np.ndarray:
    return detection_picture.draw(image, found, SHAPE, SIZE, METAINFO)


def red(image: np.ndarray) -> np.ndarray:
    """Find where a picture is redder than it is green or blue: (H, W)."""
    image = image.astype(int)
    return (image[..., 0] > image[..., 1] + 60) & (image[..., 0] > image[..., 2] + 60)


def rectangle(x1: int, y1: int, x2: int, y2: int) -> torch.Tensor:
    mask = torch.zeros(SHAPE, dtype=torch.bool)
    mask[y1:y2, x1:x2] = True
    return mask


@pytest.mark.parametrize('side', [1, 2])
def test_boxes_are_drawn_where_they_are(side):
    """Check detectors that read the large image, and the small one."""
    image = np.zeros((50 // side, 100 // side, 3), np.uint8)
    picture = drawn(image, instances([20, 10, 60, 40]))
    assert picture.shape == (*SIZE[::-1], 3)
    rows, columns = np.nonzero(red(picture))
    assert columns.min() == pytest.approx(20 * SCALE, abs=3)
    assert columns.max() == pytest.approx(60 * SCALE, abs=3)
    assert rows.max() == pytest.approx(40 * SCALE, abs=3)


def test_what_lies_beyond_the_image_does_not_move_it():
    image = np.random.RandomState(0).randint(0, 256, (50, 100, 3), dtype=np.uint8)
    alone = drawn(image, instances())
    picture = drawn(image, instances([-40, 30, 30, 90], [60, 20, 60.5, 20.5], [-9, -9, -1, -1]))
    right = np.s_[:, int(70 * SCALE) :]
    assert (picture[right] == alone[right]).all()
    left = np.s_[: int(20 * SCALE), : int(50 * SCALE)]
    assert (picture[left] == alone[left]).all()
    edge = picture[int(35 * SCALE) : int(45 * SCALE), int(30 * SCALE)]
    assert red(edge[None]).all()


def test_the_image_is_enlarged_without_anything_between_its_pixels():
    small = np.random.RandomState(0).randint(0, 256, (6, 12, 3), dtype=np.uint8)
    assert (drawn(small, instances()) == small.repeat(40, 0).repeat(40, 1)).all()


def test_masks_are_drawn_where_they_are():
    """Without boxes that say anything, as of SOLO: all that is red is the mask, or its label."""
    image = np.full((50, 100, 3), 90, np.uint8)
    masks = torch.stack([rectangle(20, 10, 60, 40)])
    picture = drawn(image, instances([0, 0, 0, 0], masks=masks))
    inside = np.zeros(SIZE[::-1], bool)
    inside[int(10 * SCALE) : int(40 * SCALE), int(20 * SCALE) : int(60 * SCALE)] = True
    edge = np.s_[int(11 * SCALE) : int(18 * SCALE), int(21 * SCALE) : int(59 * SCALE)]
    assert red(picture)[edge].all()  # above the label
    assert not red(picture)[~inside].any()
    assert (drawn(image, instances(masks=masks[:0])) == 90).all()


def test_a_mask_of_nothing_is_left_out_with_its_box():
    masks = torch.stack([rectangle(0, 0, 0, 0), rectangle(90, 40, 100, 50)])
    found = instances([110, 10, 120, 20], [90, 40, 130, 60], masks=masks)
    kept = detection_picture.within(found, SHAPE, SIZE)
    torch.testing.assert_close(kept.bboxes, torch.tensor([[432.0, 192.0, 479.0, 239.0]]))
    assert kept.masks.shape == (1, *SIZE[::-1]) and kept.masks[0, 192:, 432:].all()
    assert kept.masks.sum() == 48 * 48


def test_the_surest_detection_is_drawn_last():
    found = InstanceData(scores=torch.tensor([0.9, 0.2, 0.4]), labels=torch.tensor([1, 2, 3]))
    assert detection_picture.confident(found).labels.tolist() == [3, 1]


POLYGON = [[20, 10, 60, 10, 60, 40, 20, 40]]
COUNTS = rle.encode(np.asfortranarray(rectangle(20, 10, 60, 40).numpy().astype(np.uint8)))
COLUMNS = np.diff(np.flatnonzero(np.diff(np.pad(rectangle(20, 10, 60, 40).numpy().T.ravel(), 1))))
MASKS = dict(
    polygon=POLYGON,
    compressed=dict(size=[50, 100], counts=COUNTS['counts'].decode()),
    plain=dict(size=[50, 100], counts=[20 * 50 + 10, *COLUMNS.tolist(), 10 + 40 * 50]),
)


def dataset(
    root: Path, *transforms: dict, masks: list | None = None, border: bool = False
) -> BaseDataset:
    """One photograph of 100x50: fine stripes, and blue at the right side. An object with a box,
    or one with each of the masks, and a crowd.

    Args:
        border: As CenterNet's pipeline has it.
    """
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[:, 1:80:2] = 255
    image[:, 90:] = (255, 0, 0)
    cv2.imwrite(str(root / 'one.png'), image)
    plain = dict(image_id=1, category_id=1, bbox=[20, 10, 40, 30], area=1200, iscrowd=0)
    objects = [dict(plain, segmentation=mask) for mask in masks or ()] or [plain]
    objects.append(dict(plain, iscrowd=1, bbox=[0, 0, 100, 50]))
    content = dict(
        images=[dict(id=1, file_name='one.png', height=50, width=100)],
        annotations=[dict(one, id=place) for place, one in enumerate(objects, 1)],
        categories=[dict(id=1, name='a'), dict(id=2, name='b')],
    )
    (root / 'one.json').write_text(json.dumps(content))
    keys = ('img_id', 'img_path', 'ori_shape', 'img_shape')
    keys += ('border',) if border else ('scale_factor', 'flip')
    pipeline = [
        dict(type='LoadImageFromFile', to_float32=border),
        *transforms,
        dict(type='PackDetInputs', meta_keys=keys),
    ]
    return DATASETS.build(
        dict(
            type='CocoDataset',
            ann_file=str(root / 'one.json'),
            data_prefix=dict(img=str(root)),
            metainfo=METAINFO,
            test_mode=True,
            pipeline=pipeline,
        )
    )


@pytest.mark.parametrize('kind', MASKS)
def test_true_objects_with_their_masks(tmp_path, kind):
    """However they are written, and beside objects that have none; crowds do not count."""
    photographs = dataset(tmp_path, masks=[MASKS[kind], None])
    truth = detection_picture.ground_truth(detection_picture.load(photographs, 0))
    assert truth.bboxes.tolist() == [[20, 10, 60, 40]] * 2 and truth.labels.tolist() == [0, 0]
    assert (truth.masks[0] == rectangle(20, 10, 60, 40)).all()
    assert truth.masks[1].sum() <= 1


def test_true_objects_without_masks(tmp_path):
    photographs = dataset(tmp_path)
    assert detection_picture.choose_images(photographs) == [0]
    truth = detection_picture.ground_truth(detection_picture.load(photographs, 0))
    assert truth.bboxes.tolist() == [[20, 10, 60, 40]] and 'masks' not in truth


RESIZE = dict(type='Resize', scale=(200, 100))
LOW = dict(type='LowResolution', ratio=4, views=['lr'])
PAD = dict(type='Pad', size=(256, 256), pad_val=dict(img=(0, 255, 0)))
FLIP = dict(type='RandomFlip', prob=1.0)
BORDER = dict(
    type='RandomCenterCropPad',
    **dict(ratios=None, border=None, mean=[0, 255, 0], std=[1, 1, 1], to_rgb=False),
    **dict(test_mode=True, test_pad_mode=['logical_or', 31], test_pad_add_pix=1),
)


def answer(photographs: BaseDataset) -> tuple[BaseDataset, list, list]:
    """A detector that finds the object in what it reads, and its answer in the file's pixels."""
    item = photographs[0]
    sample: DetDataSample = item['data_samples']
    box = [40, 10, 80, 40] if sample.get('flip') else [20, 10, 60, 40]
    found = instances(box)
    found.scores = torch.ones(1)
    sample.pred_instances = found
    return photographs, [item['inputs']], [sample]


@pytest.mark.parametrize(
    'transforms, stripes',
    [
        ([], True),
        ([RESIZE, LOW], False),
        ([RESIZE, PAD, LOW], False),
        ([RESIZE, FLIP, LOW], False),
        ([BORDER], True),
    ],
    ids=['large', 'small', 'padded', 'flipped', "CenterNet's"],
)
def test_each_detector_s_column_is_what_it_reads(tmp_path, monkeypatch, transforms, stripes):
    """The whole of the photograph and nothing around it, the box where the detector has seen it.
    Of stripes one pixel wide a small image has only the mean."""
    shown = {}
    monkeypatch.setattr(detection_picture, 'grid', shown.update)
    large = dataset(tmp_path)
    own = dataset(tmp_path, *transforms, border=transforms == [BORDER])
    answers = dict(teacher=answer(large), student=answer(own))
    detection_picture.draw_comparison([0], answers)
    (truth,), (teacher,), (student,) = shown.values()
    flipped = FLIP in transforms
    for picture in (truth, teacher, student):
        assert picture.shape == (*SIZE[::-1], 3)
        mirrored = picture[:, ::-1] if flipped and picture is student else picture
        blue = (mirrored[..., 2] > 200) & (mirrored[..., :2] < 60).all(axis=2)
        assert blue[5:-5, int(93 * SCALE) : -5].all() and not blue[:, : int(87 * SCALE)].any()
        rows, columns = np.nonzero(red(picture))
        left = 40 if flipped and picture is student else 20
        assert columns.min() == pytest.approx(left * SCALE, abs=3)
        assert columns.max() == pytest.approx((left + 40) * SCALE, abs=3)
        assert rows.max() == pytest.approx(40 * SCALE, abs=3)
    background = np.s_[-20:, int(5 * SCALE) : int(75 * SCALE)]
    for picture in (truth, teacher):
        assert {*picture[background].ravel()} == {0, 255}
    if stripes:
        assert (student[background] == truth[background]).all()
    else:
        pixels = student[:, ::-1][background] if flipped else student[background]
        assert np.ptp(pixels) <= 2 and abs(int(pixels.mean()) - 127) <= 1


@pytest.mark.parametrize('channels, dtype', [(1, np.uint8), (4, np.uint8), (3, np.uint16)])
def test_images_of_other_kinds(tmp_path, monkeypatch, channels, dtype):
    """They are shown from black to white."""
    shown = {}
    monkeypatch.setattr(detection_picture, 'grid', shown.update)
    image = np.zeros((*SHAPE, channels), dtype)
    image[:, 50:] = np.iinfo(dtype).max
    photographs = dataset(tmp_path)
    photographs.pipeline.transforms[0].color_type = 'unchanged'
    cv2.imwrite(str(tmp_path / 'one.png'), image)
    detection_picture.draw_comparison([0], dict(student=answer(photographs)))
    for (picture,) in shown.values():
        assert (picture[:10, : int(45 * SCALE)] == 0).all()
        assert (picture[-10:, int(65 * SCALE) :] == 255).all()
