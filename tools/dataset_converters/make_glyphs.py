"""Render the built-in ``glyphs`` data: photograph-like images of small look-alike letters.

For detection, the classes come in groups (O Q C G, E F, 1 I 7 T) that differ by one thin stroke of
about two pixels, so a network that reads a smaller copy of an image loses what tells them apart.
For classification a picture shows one of these letters, plain or with a dot, an acute or a grave
on it: 40 classes, in a folder each, as MMPretrain's ``CustomDataset`` reads them. Every image has a
random generator of its own, made from (seed, split, index): one seed gives the same bytes,
whatever the number of images.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import mmengine
import numpy as np
from glyph_drawing import ACCENTED, CLASSES, render_scene, render_single
from new_folder import new_folder

VERSION = '1'  # Raise it when the same options would no longer give the same pictures.
SPLITS = ('train', 'val')
MIN_SIZE = 64
DEFAULTS = dict(
    detection=dict(train=1500, val=300, size=160),
    classification=dict(train=4000, val=1000, size=64),
)
DESCRIPTIONS = dict(
    detection='glyphs: small look-alike letters on cluttered backgrounds',
    classification='glyphs: one small letter a picture, with or without an accent',
)
PREVIEW_IMAGES, PREVIEW_COLUMNS, PREVIEW_SCALE = 6, 3, 3
PREVIEW_CLASSES, PREVIEW_RATIOS = 12, (1, 2, 4)


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write a uint8 BGR image to a new file."""
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f'could not write {path}')


def write_detection_split(folder: Path, split: str, count: int, info: dict) -> None:
    """Write one split's images and its COCO annotations under `folder`."""
    (folder / split).mkdir()
    seed, size = info['options']['seed'], info['options']['size']
    images, annotations = [], []
    for index in mmengine.track_iter_progress(range(count)):
        pixels, objects = render_scene(
            np.random.default_rng([seed, SPLITS.index(split), index]), size
        )
        name = f'{index:06d}.png'
        write_image(folder / split / name, pixels)
        images.append(dict(id=index, file_name=name, width=size, height=size))
        for label, box in objects:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=index,
                    category_id=label + 1,
                    bbox=[round(float(v), 2) for v in box],
                    area=round(float(box[2] * box[3]), 2),
                    iscrowd=0,
                )
            )
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    content = dict(info=info, images=images, annotations=annotations, categories=categories)
    path = folder / 'annotations' / f'{split}.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, sort_keys=True), encoding='utf-8')


def single_name(index: int) -> str:
    """File of a classification image in its split's folder: the classes take turns."""
    return f'{list(ACCENTED)[index % len(ACCENTED)]}/{index:06d}.png'


def write_classification_split(folder: Path, split: str, count: int, info: dict) -> None:
    """Write one split's images under `folder`, a folder for each class, and ``info.json``."""
    for name in ACCENTED:  # All of them, as a class's index is its place among the folders.
        (folder / split / name).mkdir(parents=True)
    seed, size = info['options']['seed'], info['options']['size']
    for index in mmengine.track_iter_progress(range(count)):
        name = single_name(index)
        # After the detection splits, so that no generator serves both tasks.
        rng = np.random.default_rng([seed, len(SPLITS) + SPLITS.index(split), index])
        write_image(
            folder / split / name, render_single(rng, ACCENTED[Path(name).parent.name], size)
        )
    (folder / 'info.json').write_text(json.dumps(info, sort_keys=True), encoding='utf-8')


def detection_files(out: Path, info: dict) -> list[Path]:
    """List the images that the annotations name; raise ValueError if their `info` differs."""
    files = []
    for split in SPLITS:
        content = json.loads((out / 'annotations' / f'{split}.json').read_bytes())
        if content['info'] != info:
            raise ValueError('made with other options')
        files += [out / split / image['file_name'] for image in content['images']]
    return files


def classification_files(out: Path, info: dict) -> list[Path]:
    """List the images that `info` stands for; raise ValueError if the folder's differs."""
    if json.loads((out / 'info.json').read_bytes()) != info:
        raise ValueError('made with other options')
    return [out / s / single_name(i) for s in SPLITS for i in range(info['options'][s])]


def holds_same_data(out: Path, task: str, info: dict) -> bool:
    """Tell whether `out` already holds every image that these options make."""
    files = dict(detection=detection_files, classification=classification_files)[task]
    try:
        return all(file.is_file() for file in files(out, info))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def make(out: Path, task: str, counts: dict[str, int], seed: int, size: int) -> None:
    """Write the data set to `out`, whole or not at all.

    Raises:
        FileExistsError: If `out` holds anything but the same data.
    """
    info = dict(
        description=DESCRIPTIONS[task],
        version=VERSION,
        options=dict(seed=seed, size=size, **counts),
    )
    if holds_same_data(out, task, info):
        print(f'{out.resolve()} already holds this data: nothing to do.')
        return
    write = dict(detection=write_detection_split, classification=write_classification_split)[task]
    with new_folder(out) as folder:
        for split in SPLITS:
            print(f'{split}: {counts[split]} images')
            write(folder, split, counts[split], info)
            print()


def detection_tiles(out: Path) -> list[np.ndarray]:
    """Draw the first validation images, enlarged, with boxes and classes."""
    content = json.loads((out / 'annotations' / 'val.json').read_bytes())
    tiles = []
    for image in content['images'][:PREVIEW_IMAGES]:
        pixels = cv2.imread(str(out / 'val' / image['file_name']))
        pixels = cv2.resize(
            pixels, None, fx=PREVIEW_SCALE, fy=PREVIEW_SCALE, interpolation=cv2.INTER_CUBIC
        )
        for ann in content['annotations']:
            if ann['image_id'] == image['id']:
                x, y, w, h = (round(v * PREVIEW_SCALE) for v in ann['bbox'])
                cv2.rectangle(pixels, (x, y), (x + w, y + h), (0, 255, 0), 1)
                write_text(pixels, CLASSES[ann['category_id'] - 1], (x, y - 3))
        tiles.append(pixels)
    return tiles


def classification_tiles(out: Path) -> list[np.ndarray]:
    """Draw a validation image for each class: as it is, and what k = 2 and k = 4 leave of it."""
    files = sorted(out.glob('val/*/*.png'), key=lambda file: file.name)[:PREVIEW_CLASSES]
    tiles = []
    for file in files:
        pixels = cv2.imread(str(file))
        shape = (PREVIEW_SCALE * len(pixels),) * 2
        views = [
            cv2.resize(pixels, None, fx=1 / k, fy=1 / k, interpolation=cv2.INTER_AREA)
            for k in PREVIEW_RATIOS
        ]
        views = [cv2.resize(view, shape, interpolation=cv2.INTER_NEAREST) for view in views]
        write_text(views[0], file.parent.name, (3, 14))
        tiles.append(np.hstack(views))
    return tiles


def write_text(pixels: np.ndarray, text: str, place: tuple[int, int]) -> None:
    """Put text into an image, its lower left corner at (x, y)."""
    cv2.putText(pixels, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 255), 1)


def write_preview(tiles: list[np.ndarray], path: Path) -> None:
    """Write a contact sheet of images of one size to a new file."""
    tiles = [cv2.copyMakeBorder(tile, 2, 2, 2, 2, cv2.BORDER_CONSTANT) for tile in tiles]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % PREVIEW_COLUMNS)
    rows = [
        np.hstack(tiles[i : i + PREVIEW_COLUMNS]) for i in range(0, len(tiles), PREVIEW_COLUMNS)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode('.png', np.vstack(rows))
    with path.open('xb') as file:  # Never over a file that is already there.
        file.write(data)
    print(f'Wrote {path}')


def parse_args() -> argparse.Namespace:
    def default(name: str) -> str:
        return ', '.join(f'{values[name]} for {task}' for task, values in DEFAULTS.items())

    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, required=True, help='folder to write, e.g. data/glyphs')
    parser.add_argument(
        '--task',
        choices=DEFAULTS,
        default='detection',
        help='images of several letters with boxes (COCO format), or of one letter each, in a '
        'folder for each class (default: detection)',
    )
    parser.add_argument('--seed', type=int, default=0, help='one seed, one data set (default: 0)')
    parser.add_argument('--train', type=int, help=f'training images ({default("train")})')
    parser.add_argument('--val', type=int, help=f'validation images ({default("val")})')
    parser.add_argument(
        '--size',
        type=int,
        help='side of the square images in pixels; glyphs keep heights of 14 to 32 '
        f'({default("size")})',
    )
    parser.add_argument(
        '--preview', type=Path, help='also write a picture (PNG) of a few images and their classes'
    )
    args = parser.parse_args()
    for name, value in DEFAULTS[args.task].items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    for name, least in dict(seed=0, train=1, val=1, size=MIN_SIZE).items():
        if getattr(args, name) < least:
            parser.error(f'--{name} is {getattr(args, name)}; it must be at least {least}')
    if args.preview and args.preview.exists():
        parser.error(f'--preview {args.preview} exists; name a new file, or remove that one')
    return args


def main() -> None:
    args = parse_args()
    try:
        make(args.out, args.task, dict(train=args.train, val=args.val), args.seed, args.size)
        if args.preview:
            tiles = dict(detection=detection_tiles, classification=classification_tiles)
            write_preview(tiles[args.task](args.out), args.preview)
    except OSError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
