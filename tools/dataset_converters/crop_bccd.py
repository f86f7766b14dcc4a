"""Cut the single cells out of BCCD's photographs: a classification set of three classes.

Reads the data as its authors give it (Shenggan/BCCD_Dataset on GitHub): a folder with Annotations,
ImageSets/Main and JPEGImages. Writes one square PNG a box, `train/<class>/<image>_<box>.png` from
the images of trainval.txt and `test/…` from those of test.txt, as MMPretrain's ``CustomDataset``
reads them. Boxes without area are dropped, and named in the log.
"""

import argparse
import math
import sys
from pathlib import Path

import cv2
import mmengine
import numpy as np
from new_folder import new_folder

from pd_mmdet.datasets import BCCDDataset

CLASSES = BCCDDataset.METAINFO['classes']
SPLITS = dict(train='trainval', test='test')  # Folder to write: list in ImageSets/Main.


def read_split(root: Path, name: str) -> list[dict]:
    """Read the annotations of the images in ``ImageSets/Main/<name>.txt`` as MMDetection does.

    Raises:
        FileNotFoundError: If a list, an annotation or an image is missing.
    """
    dataset = BCCDDataset(
        data_root=str(root),
        ann_file=f'ImageSets/Main/{name}.txt',
        data_prefix=dict(sub_data_root=''),
        test_mode=True,
    )
    images = [dataset.get_data_info(index) for index in range(len(dataset))]
    for image in images:
        if not Path(image['img_path']).is_file():
            raise FileNotFoundError(f'no image {image["img_path"]}, which {name}.txt lists')
    return images


def crop(image: np.ndarray, box: list[int], context: float, size: int) -> np.ndarray:
    """Cut out a box's square surroundings: uint8 (size, size, 3).

    Args:
        image: (H, W, 3).
        box: x1, y1, x2, y2 in pixels.
        context: What is added on each side, as a share of the box's longer side. Beyond the image
            its edge is repeated.
        size: Side of the result in pixels.
    """
    x1, y1, x2, y2 = box
    side = max(1, round(max(x2 - x1, y2 - y1) * (1 + 2 * context)))
    left, top = math.floor((x1 + x2 - side) / 2), math.floor((y1 + y2 - side) / 2)
    height, width = image.shape[:2]
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    return cv2.resize(image[np.ix_(rows, columns)], (size, size), interpolation=interpolation)


def write_split(folder: Path, images: list[dict], context: float, size: int) -> dict[str, int]:
    """Write the cells of `images` under `folder`; returns how many there are of each class.

    Raises:
        ValueError: If an image can't be read or its annotation was made for another size, or if a
            class has no cell.
    """
    counts = dict.fromkeys(CLASSES, 0)
    for name in CLASSES:  # All of them, as a class's index is its place among the folders.
        (folder / name).mkdir(parents=True)
    for info in mmengine.track_iter_progress(images):
        image = cv2.imread(info['img_path'])
        if image is None:
            raise ValueError(f'{info["img_path"]} is not an image, or is damaged')
        if image.shape[:2] != (info['height'], info['width']):
            raise ValueError(
                f'{info["img_path"]} has (height, width) {image.shape[:2]}, its annotation says '
                f'{info["height"], info["width"]}: the boxes do not fit it'
            )
        for number, instance in enumerate(info['instances']):
            name = CLASSES[instance['bbox_label']]
            path = folder / name / f'{info["img_id"]}_{number:02d}.png'
            if not cv2.imwrite(str(path), crop(image, instance['bbox'], context, size)):
                raise OSError(f'could not write {path}')
            counts[name] += 1
    print()
    if missing := [name for name in CLASSES if not counts[name]]:
        raise ValueError(
            f'no box of {", ".join(missing)} in the annotations of {folder.name}; the classes are '
            f'{", ".join(CLASSES)}'
        )
    return counts


def make(root: Path, out: Path, context: float, size: int) -> None:
    """Write the cells of the data set at `root` to `out`, whole or not at all.

    Raises:
        FileExistsError: If `out` holds anything.
        FileNotFoundError: If something is missing under `root`.
        ValueError: If an image does not fit its annotation, or a class has no cell.
    """
    for name in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        if not (root / name).is_dir():
            raise FileNotFoundError(
                f'--root {root} has no folder {name}; get BCCD from its authors '
                '(Shenggan/BCCD_Dataset on GitHub) and name the folder that holds Annotations, '
                'ImageSets and JPEGImages'
            )
    with new_folder(out) as folder:
        for split, name in SPLITS.items():
            images = read_split(root, name)
            print(f'{split}: {len(images)} images')
            counts = write_split(folder / split, images, context, size)
            print(', '.join(f'{count} {name}' for name, count in counts.items()))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--root',
        type=Path,
        required=True,
        help='BCCD: the folder with Annotations, ImageSets and JPEGImages',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to write')
    parser.add_argument(
        '--size', type=int, default=112, help='side of the crops in pixels (default: 112)'
    )
    parser.add_argument(
        '--context',
        type=float,
        default=0.1,
        help='added on each side, as a share of the longer side of the box (default: 0.1)',
    )
    args = parser.parse_args()
    if args.size < 8:
        parser.error(f'--size is {args.size}; it must be at least 8')
    if not 0 <= args.context <= 1:
        parser.error(f'--context is {args.context}; it must be between 0 and 1')
    return args


def main() -> None:
    args = parse_args()
    try:
        make(args.root, args.out, args.context, args.size)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
