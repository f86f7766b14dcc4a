import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmpretrain')

from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from mmpretrain.structures import DataSample

from pd_mmdet.workbench.tasks import classification_picture


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmpretrain')


def dataset(root, *transforms):
    pipeline = [dict(type='LoadImageFromFile'), *transforms, dict(type='PackInputs')]
    return DATASETS.build(dict(type='CustomDataset', data_root=str(root), pipeline=pipeline))


def sample(truth: int, answer: int) -> DataSample:
    return DataSample().set_gt_label(truth).set_pred_score(torch.eye(3)[answer] * 0.75)


@pytest.fixture
def root(tmp_path):
    for name in ('cat', 'dog', 'owl'):
        (tmp_path / name).mkdir()
        for number in range(7):
            image = np.full((12, 20, 3), (number, 100, 200), np.uint8)  # blue, green, red
            cv2.imwrite(str(tmp_path / name / f'{number}.png'), image)
    return tmp_path


def test_images_of_all_classes_are_shown(root):
    photographs = dataset(root)
    indices = classification_picture.choose_images(photographs)
    assert len(set(indices)) == classification_picture.IMAGES
    assert {photographs.get_data_info(index)['gt_label'] for index in indices} == {0, 1, 2}
    few = photographs.get_subset(2)
    assert classification_picture.choose_images(few) == [0, 1]


def test_both_views_the_truth_and_the_answers(root):
    large, small = dataset(root), dataset(root, dict(type='Resize', scale=(10, 6)))
    read = {side: [side[index]['inputs'] for index in (3, 8)] for side in (large, small)}
    answers = dict(
        teacher=(large, read[large], [sample(0, 0), sample(1, 1)]),
        baseline=(small, read[small], [sample(0, 2), sample(1, 0)]),
        student=(small, read[small], [sample(0, 0), sample(1, 2)]),
    )
    figure = classification_picture.draw_comparison([3, 8], answers)
    assert figure.get_suptitle() == '20×12: what the teacher reads; 10×6: what the student reads'
    images = [axes.images[0].get_array() for axes in figure.axes]
    assert [image.shape for image in images] == [(12, 20, 3), (6, 10, 3)] * 2
    assert (images[1] == (200, 100, 3)).all() and (images[2] == (200, 100, 1)).all()
    titles = [axes.get_title(loc='left') for axes in figure.axes]
    assert titles == ['cat', '', 'dog', '']
    said = [[(text.get_text(), text.get_color()) for text in axes.texts] for axes in figure.axes]
    right, wrong = classification_picture.RIGHT, classification_picture.WRONG
    assert said[0] == [
        ('teacher: cat 0.75', right),
        ('baseline: owl 0.75', wrong),
        ('student: cat 0.75', right),
    ]
    assert [color for _, color in said[2]] == [right, wrong, wrong]
    assert said[1] == said[3] == []


def test_images_of_one_channel(root):
    """They are shown in grey."""
    photographs = dataset(root)
    photographs.pipeline.transforms[0].color_type = 'grayscale'
    read = [photographs[3]['inputs']]
    assert len(read[0]) == 1
    answers = dict.fromkeys(['teacher', 'student'], (photographs, read, [sample(0, 0)]))
    figure = classification_picture.draw_comparison([3], answers)
    shown = figure.axes[0].images[0].get_array()
    assert (shown == read[0].permute(1, 2, 0).numpy()).all() and shown.shape == (12, 20, 3)


def test_long_names_are_cut():
    name = classification_picture.name_of(0, ['tench, Tinca tinca, a fish of many ponds'])
    assert len(name) <= classification_picture.LENGTH and name.startswith('tench, Tinca')
    assert classification_picture.name_of(7, None) == '7'
