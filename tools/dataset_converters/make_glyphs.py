"""Render the built-in ``glyphs`` data: photograph-like images of small look-alike letters.

The classes come in groups (O Q C G, E F, 1 I 7 T) that differ by one thin stroke of about two
pixels, so a detector that reads a smaller copy of an image loses what tells them apart. Letters
are drawn from strokes, not from fonts, and every image has a random generator of its own, made
from (seed, split, index): one seed gives the same bytes, whatever the number of images.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import cv2
import mmengine
import numpy as np

VERSION = '1'  # Raise it when the same options would no longer give the same pictures.
CLASSES = ('O', 'Q', 'C', 'G', 'E', 'F', '1', 'I', '7', 'T')
SPLITS = ('train', 'val')
SUPERSAMPLE = 4  # Strokes are drawn this many times larger, then averaged down.
MIN_SIZE = 64
EMPTY_SHARE = 0.03
OCCLUDED_SHARE = 0.25
PREVIEW_IMAGES, PREVIEW_COLUMNS, PREVIEW_SCALE = 6, 3, 3


def arc(rx: float, ry: float, start: float, stop: float) -> np.ndarray:
    """Points (N, 2) of an ellipse's arc around the origin; angles in degrees, clockwise from +x."""
    angle = np.radians(np.linspace(start, stop, 33))
    return np.stack([rx * np.cos(angle), ry * np.sin(angle)], axis=1)


def line(*points: tuple[float, float]) -> np.ndarray:
    """Points (N, 2) of a polyline."""
    return np.array(points, dtype=np.float64)


# Strokes in a box of height 1 around the origin, y downwards.
RING = arc(0.38, 0.5, 0, 360)
OPEN_RING = arc(0.38, 0.5, 32, 328)
STEM = line((0, -0.5), (0, 0.5))
BASE = line((-0.18, 0.5), (0.18, 0.5))
LEFT_STEM = line((-0.28, -0.5), (-0.28, 0.5))
UPPER_BARS = [line((-0.28, -0.5), (0.28, -0.5)), line((-0.28, 0), (0.2, 0))]
LOWER_BAR = line((-0.28, 0.5), (0.28, 0.5))
GLYPHS = {
    'O': [RING],
    'Q': [RING, line((0.14, 0.24), (0.38, 0.52))],
    'C': [OPEN_RING],
    'G': [OPEN_RING, line((0.32, 0.26), (0.32, 0.05), (0.1, 0.05))],
    'E': [LEFT_STEM, *UPPER_BARS, LOWER_BAR],
    'F': [LEFT_STEM, *UPPER_BARS],
    '1': [STEM, BASE, line((0, -0.5), (-0.18, -0.32))],
    'I': [STEM, BASE, line((-0.18, -0.5), (0.18, -0.5))],
    '7': [line((-0.28, -0.5), (0.28, -0.5), (-0.08, 0.5))],
    'T': [STEM, line((-0.3, -0.5), (0.3, -0.5))],
}
# Letters of no class, so that being a letter is not enough to be an object.
DISTRACTORS = {
    'H': [LEFT_STEM, -LEFT_STEM, line((-0.28, 0), (0.28, 0))],
    'L': [LEFT_STEM, LOWER_BAR],
    'U': [
        line((-0.3, -0.5), (-0.3, 0.1)),
        arc(0.3, 0.4, 0, 180) + (0, 0.1),
        line((0.3, 0.1), (0.3, -0.5)),
    ],
    'V': [line((-0.32, -0.5), (0, 0.5), (0.32, -0.5))],
    'X': [line((-0.3, -0.5), (0.3, 0.5)), line((0.3, -0.5), (-0.3, 0.5))],
    'Z': [line((-0.28, -0.5), (0.28, -0.5), (-0.28, 0.5), (0.28, 0.5))],
}


def stroke_mask(strokes: list[np.ndarray], thickness: float, size: int) -> np.ndarray:
    """Draw strokes (in pixels) on the supersampled canvas: uint8, 0 or 255."""
    mask = np.zeros((size * SUPERSAMPLE, size * SUPERSAMPLE), np.uint8)
    shift = 3  # cv2 takes fixed-point coordinates of pixel centres with this many binary digits.
    points = [np.rint((s * SUPERSAMPLE - 0.5) * 2**shift).astype(np.int32) for s in strokes]
    width = max(1, round(thickness * SUPERSAMPLE))
    cv2.polylines(mask, points, False, 255, width, cv2.LINE_8, shift)
    return mask


def coverage(mask: np.ndarray) -> np.ndarray:
    """Average a supersampled mask down to the share of each pixel it covers: float32, (H, W, 1)."""
    size = len(mask) // SUPERSAMPLE
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)[..., None] / np.float32(255)


def paint(image: np.ndarray, alpha: np.ndarray, colour: np.ndarray) -> None:
    """Blend a colour (B, G, R) into a float image, in place."""
    image += alpha * (colour.astype(np.float32) - image)


def noise_field(rng: np.random.Generator, size: int, roughness: float) -> np.ndarray:
    """Sum noise of every scale from a third of the image to two pixels: (size, size, 3), std 1.

    Roughness in (0, 1] is the share that each finer octave keeps of the amplitude before it.
    """
    field = np.zeros((size, size, 3), np.float32)
    cells, amplitude = 3, 1.0
    while cells <= size // 2:
        grey = rng.normal(size=(cells, cells, 1))
        octave = (grey + 0.35 * rng.normal(size=(cells, cells, 3))).astype(np.float32)
        field += amplitude * cv2.resize(octave, (size, size), interpolation=cv2.INTER_CUBIC)
        cells, amplitude = cells * 2, amplitude * roughness
    return field / field.std()


def lighting(rng: np.random.Generator, size: int) -> np.ndarray:
    """Uneven light, a slope and a soft lamp: factors of about 0.65 to 1.15, (size, size, 1)."""
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j].astype(np.float32)
    direction = rng.uniform(0, 2 * np.pi)
    slope = (x - 0.5) * np.cos(direction) + (y - 0.5) * np.sin(direction)
    lamp_x, lamp_y = rng.uniform(0, 1, 2)
    lamp = np.exp(-((x - lamp_x) ** 2 + (y - lamp_y) ** 2) / rng.uniform(0.1, 0.5))
    light = 0.85 + rng.uniform(0.0, 0.3) * slope + rng.uniform(0.0, 0.25) * lamp
    return light[..., None].astype(np.float32)


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Textured ground with large patches, soft blobs and faint lines: float32, BGR."""
    ground = rng.uniform(60, 190) + rng.normal(0, 18, 3)
    image = (ground + rng.uniform(5, 14) * noise_field(rng, size, rng.uniform(0.45, 0.75))).astype(
        np.float32
    )
    for _ in range(rng.integers(2, 7)):
        mask = np.zeros((size * SUPERSAMPLE, size * SUPERSAMPLE), np.uint8)
        centre = rng.uniform(0, len(mask), 2)
        corners = centre + rng.normal(0, rng.uniform(0.1, 0.3) * len(mask), (rng.integers(3, 8), 2))
        cv2.fillConvexPoly(mask, cv2.convexHull(corners.astype(np.int32)), 255)
        alpha = cv2.GaussianBlur(coverage(mask), (0, 0), rng.choice([0.5, 1.5, 6.0]))[..., None]
        shade = rng.uniform(-35, 35) + rng.normal(0, 10, 3)
        image += alpha * rng.uniform(0.5, 1) * shade.astype(np.float32)
    for _ in range(rng.integers(2, 8)):
        ends = rng.uniform(-0.1, 1.1, (2, 2)) * size
        bend = ends.mean(0) + rng.normal(0, 0.08 * size, 2)
        alpha = coverage(stroke_mask([line(ends[0], bend, ends[1])], rng.uniform(0.75, 3), size))
        shade = rng.choice([-1, 1]) * rng.uniform(10, 35) + rng.normal(0, 8, 3)
        image += alpha * shade.astype(np.float32)
    return image


def pose(rng: np.random.Generator, strokes: list[np.ndarray], height: float) -> list[np.ndarray]:
    """Scale, slant and turn unit strokes by at most 25 degrees, around the origin."""
    turn = np.radians(rng.uniform(-25, 25))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shape = np.array([[rng.uniform(0.85, 1.1), rng.uniform(-0.1, 0.1)], [0, 1]])
    return [height * stroke @ (rotation @ shape).T for stroke in strokes]


def place(
    rng: np.random.Generator,
    strokes: list[np.ndarray],
    thickness: float,
    taken: list[np.ndarray],
    size: int,
) -> list[np.ndarray] | None:
    """Move strokes to a free place in the image and note it in `taken`; None if there is none."""
    points = np.concatenate(strokes)
    low, high = points.min(0) - thickness / 2 - 1, points.max(0) + thickness / 2 + 1
    for _ in range(40):
        centre = rng.uniform(-low, size - high)
        box = np.concatenate([centre + low, centre + high])
        if all((box[:2] >= t[2:]).any() or (box[2:] <= t[:2]).any() for t in taken):
            taken.append(box)
            return [stroke + centre for stroke in strokes]
    return None


def ink(
    rng: np.random.Generator, image: np.ndarray, alpha: np.ndarray, contrast: float
) -> np.ndarray:
    """Choose a colour whose brightness differs by `contrast` from what lies under `alpha`."""
    under = (image * alpha).sum((0, 1)) / alpha.sum()
    brightness = under.mean()
    sign = rng.choice([-1, 1])
    if not 15 <= brightness + sign * contrast <= 245:
        sign = -sign
    tint = rng.normal(0, 22, 3)
    return np.clip(brightness + sign * contrast + tint - tint.mean(), 0, 255)


def draw_distractors(rng: np.random.Generator, image: np.ndarray, taken: list[np.ndarray]) -> None:
    """Paint loose strokes, dots and letters of no class in places that are still free."""
    size = len(image)
    for _ in range(rng.integers(2, 8)):
        kind = rng.choice(['letter', 'stroke', 'arc', 'dot'])
        if kind == 'letter':
            strokes = DISTRACTORS[str(rng.choice(sorted(DISTRACTORS)))]
        elif kind == 'stroke':
            strokes = [rng.uniform(-0.5, 0.5, (rng.integers(2, 4), 2))]
        elif kind == 'arc':
            start = rng.uniform(0, 360)
            strokes = [arc(0.4, 0.5, start, start + rng.uniform(60, 180))]
        else:
            strokes = [line((0, 0), (0, 0.02))]
        thickness = rng.uniform(3, 9) if kind == 'dot' else rng.uniform(1.5, 2.5)
        strokes = place(rng, pose(rng, strokes, rng.uniform(12, 30)), thickness, taken, size)
        if strokes is not None:
            alpha = coverage(stroke_mask(strokes, thickness, size))
            paint(image, alpha, ink(rng, image, alpha, rng.uniform(35, 100)))


def occlude(
    rng: np.random.Generator,
    image: np.ndarray,
    strokes: list[np.ndarray],
    thickness: float,
    box: np.ndarray,
) -> None:
    """Cover a little of a glyph by a bar, never more than a third of any stroke of it."""
    size = len(image)
    centre, side = box[:2] + box[2:] / 2, box[2:].max()
    for _ in range(10):
        middle = centre + rng.uniform(-0.5, 0.5, 2) * side
        reach = rng.normal(0, 0.6 * side, 2)
        width = rng.uniform(0.1, 0.22) * side
        alpha = coverage(stroke_mask([line(middle - reach, middle + reach)], width, size))
        parts = [coverage(stroke_mask([stroke], thickness, size)) for stroke in strokes]
        hidden = [(alpha * part).sum() / part.sum() for part in parts]
        if 0.03 <= max(hidden) <= 0.33:
            paint(image, alpha, ink(rng, image, alpha, rng.uniform(15, 60)))
            return


def draw_glyphs(
    rng: np.random.Generator, image: np.ndarray, taken: list[np.ndarray]
) -> list[tuple[int, np.ndarray]]:
    """Paint 4 to 10 glyphs (fewer where no room is left); returns (class index, xywh box) pairs."""
    size = len(image)
    objects = []
    for _ in range(rng.integers(4, 11)):
        label = int(rng.integers(len(CLASSES)))
        height = rng.triangular(14, 16, 32)
        thickness = rng.uniform(1.5, 2.25)
        strokes = pose(rng, GLYPHS[CLASSES[label]], height - thickness)
        strokes = place(rng, strokes, thickness, taken, size)
        if strokes is None:
            continue
        mask = stroke_mask(strokes, thickness, size)
        alpha = coverage(mask)
        paint(image, alpha * rng.uniform(0.85, 1), ink(rng, image, alpha, rng.uniform(50, 110)))
        box = np.array(cv2.boundingRect(mask)) / SUPERSAMPLE
        objects.append((label, box))
        if rng.random() < OCCLUDED_SHARE:
            occlude(rng, image, strokes, thickness, box)
    return objects


def render(
    seed: int, split: str, index: int, size: int
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Render one image: uint8 BGR (size, size, 3) and (class index, xywh box in pixels) pairs."""
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    image = background(rng, size)
    taken: list[np.ndarray] = []
    objects = [] if rng.random() < EMPTY_SHARE else draw_glyphs(rng, image, taken)
    draw_distractors(rng, image, taken)
    image *= lighting(rng, size)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.55))
    image += rng.normal(0, rng.uniform(2, 6), image.shape).astype(np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), objects


def write_split(folder: Path, split: str, count: int, seed: int, size: int, info: dict) -> None:
    """Write one split's images and its COCO annotations under `folder`."""
    (folder / split).mkdir(parents=True)
    images, annotations = [], []
    print(f'{split}: {count} images')
    for index in mmengine.track_iter_progress(range(count)):
        pixels, objects = render(seed, split, index, size)
        name = f'{index:06d}.png'
        if not cv2.imwrite(str(folder / split / name), pixels):
            raise OSError(f'could not write {folder / split / name}')
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
    print()
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    content = dict(info=info, images=images, annotations=annotations, categories=categories)
    path = folder / 'annotations' / f'{split}.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, sort_keys=True), encoding='utf-8')


def holds_same_data(out: Path, info: dict) -> bool:
    """Whether `out` already holds every image that these options make."""
    for split in SPLITS:
        try:
            content = json.loads((out / 'annotations' / f'{split}.json').read_bytes())
            names = [image['file_name'] for image in content['images']]
            if content['info'] != info or not all((out / split / n).is_file() for n in names):
                return False
        except (OSError, ValueError, KeyError, TypeError):
            return False
    return True


def make(out: Path, counts: dict[str, int], seed: int, size: int) -> None:
    """Write the data set to `out`, whole or not at all.

    Raises:
        FileExistsError: If `out` holds anything but the same data.
    """
    info = dict(
        description='glyphs: small look-alike letters on cluttered backgrounds',
        version=VERSION,
        options=dict(seed=seed, size=size, **counts),
    )
    out = out.resolve()
    if holds_same_data(out, info):
        print(f'{out} already holds this data: nothing to do.')
        return
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise FileExistsError(
            f'--out {out} already holds something else (other files, or glyphs made with other '
            'options). Nothing was changed; name another folder, or move that one away.'
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f'.{out.name}-') as partial:
        folder = Path(partial) / out.name
        for split in SPLITS:
            write_split(folder, split, counts[split], seed, size, info)
        os.rename(folder, out)  # Fails, and loses nothing, if somebody filled `out` meanwhile.
    print(f'Wrote {out}')


def write_preview(out: Path, path: Path) -> None:
    """Write a contact sheet of the first validation images, enlarged, with boxes and classes."""
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
                name = CLASSES[ann['category_id'] - 1]
                cv2.putText(
                    pixels, name, (x, y - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 255, 255), 1
                )
        tiles.append(cv2.copyMakeBorder(pixels, 2, 2, 2, 2, cv2.BORDER_CONSTANT))
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % PREVIEW_COLUMNS)
    rows = [
        np.hstack(tiles[i : i + PREVIEW_COLUMNS]) for i in range(0, len(tiles), PREVIEW_COLUMNS)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode('.png', np.vstack(rows))
    with path.open('xb') as file:  # Never over a file that is already there.
        file.write(data)
    print(f'Wrote {path}')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, required=True, help='folder to write, e.g. data/glyphs')
    parser.add_argument('--seed', type=int, default=0, help='one seed, one data set (default: 0)')
    parser.add_argument('--train', type=int, default=1500, help='training images (default: 1500)')
    parser.add_argument('--val', type=int, default=300, help='validation images (default: 300)')
    parser.add_argument(
        '--size',
        type=int,
        default=160,
        help='side of the square images in pixels; glyphs keep heights of 14 to 32 (default: 160)',
    )
    parser.add_argument(
        '--preview', type=Path, help='also write a picture (PNG) of a few images with their boxes'
    )
    args = parser.parse_args()
    for name, least in dict(seed=0, train=1, val=1, size=MIN_SIZE).items():
        if getattr(args, name) < least:
            parser.error(f'--{name} is {getattr(args, name)}; it must be at least {least}')
    if args.preview and args.preview.exists():
        parser.error(f'--preview {args.preview} exists; name a new file, or remove that one')
    return args


def main() -> None:
    args = parse_args()
    try:
        make(args.out, dict(train=args.train, val=args.val), args.seed, args.size)
        if args.preview:
            write_preview(args.out, args.preview)
    except OSError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
