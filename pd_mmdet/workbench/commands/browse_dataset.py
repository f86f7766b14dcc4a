"""Draw a detector's training images as its config makes them.

Options are those of MMDetection's tool. If the config yields both views of an image, a picture has
the large one on the left and the small one on the right, enlarged to the same size, each with its
annotations.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mmcv
import numpy as np
from mmdet.registry import DATASETS, VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import get_box_tensor, scale_boxes
from mmdet.utils import register_all_modules
from mmengine.config import DictAction
from mmengine.structures import InstanceData
from mmengine.utils import track_iter_progress
from mmengine.visualization import Visualizer
from torch import Tensor

from ..load_config import load_config
from ..tasks import task_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--output-dir', type=Path, help='write the pictures to this folder')
    parser.add_argument('--not-show', action='store_true', help='open no window')
    parser.add_argument(
        '--show-interval', type=float, default=2, help='seconds of each picture (default: 2)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config: model.backbone.depth=34 key="[a,b]" key="[(a,b),(c,d)]"',
    )
    args = parser.parse_args()
    if args.not_show and not args.output_dir:
        parser.error('--not-show needs --output-dir: there would be nothing to see')
    return args


def drawn(visualizer: Visualizer, item: dict) -> np.ndarray:
    """Draw a packed item of a dataset as a picture (H, W, 3), RGB; two views side by side."""
    inputs, sample = item['inputs'], item['data_samples']
    if not isinstance(inputs, dict):
        return _drawn(visualizer, inputs, _enlarged(sample, inputs, inputs.shape[1:]))
    instances = _enlarged(sample, inputs['lr'], inputs['hr'].shape[1:])
    return np.concatenate(
        [_drawn(visualizer, inputs[view], instances) for view in ('hr', 'lr')], axis=1
    )


def _enlarged(sample: DetDataSample, image: Tensor, size: tuple[int, int]) -> DetDataSample:
    """Bring the instances of an image (C, H, W) to a height and width."""
    factor = size[1] / image.shape[2], size[0] / image.shape[1]
    instances = InstanceData(labels=sample.gt_instances.labels)
    instances.bboxes = scale_boxes(get_box_tensor(sample.gt_instances.bboxes), factor)
    if 'masks' in sample.gt_instances:
        instances.masks = sample.gt_instances.masks.resize(size)
    return DetDataSample(gt_instances=instances, metainfo=dict(img_shape=tuple(size)))


def _drawn(visualizer: Visualizer, image: Tensor, sample: DetDataSample) -> np.ndarray:
    """Draw an image (C, H, W), enlarged to a sample's size, with the sample's instances."""
    pixels = image.permute(1, 2, 0).numpy()
    pixels = mmcv.imresize(pixels, sample.img_shape[::-1], interpolation='nearest')
    # OpenCV drops the axis of a single channel.
    pixels = pixels[..., 2::-1] if pixels.ndim == 3 else mmcv.gray2rgb(pixels)
    visualizer.add_datasample('', pixels, sample, draw_pred=False)
    return visualizer.get_image()


def main() -> None:
    args = parse_args()
    register_all_modules()
    cfg = load_config(args.config, args.cfg_options, splits=['train'])
    if task_of(cfg).scope != 'mmdet':
        raise SystemExit(f'error: {args.config} is no config of a detector')
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    visualizer = VISUALIZERS.build(cfg.visualizer)
    visualizer.dataset_meta = dataset.metainfo
    for index in track_iter_progress(range(len(dataset))):
        item = dataset[index]
        picture = drawn(visualizer, item)
        name = Path(item['data_samples'].img_path).name
        if args.output_dir:
            mmcv.imwrite(picture[..., ::-1], str(args.output_dir / name))
        if not args.not_show:
            visualizer.show(picture, win_name=name, wait_time=args.show_interval)


if __name__ == '__main__':
    main()
