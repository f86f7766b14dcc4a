"""Draw pictures of letters: strokes, textured ground, clutter, light.

Letters are drawn from strokes, not from fonts. Images are float32 BGR (size, size, 3) with values
around 0 to 255, painted in place, and all that is random comes from the generator handed in.
"""

import cv2
import numpy as np

CLASSES = ('O', 'Q', 'C', 'G', 'E', 'F', '1', 'I', '7', 'T')
SUPERSAMPLE = 4  # Strokes are drawn this many times larger, then averaged down.
EMPTY_SHARE = 0.03
OCCLUDED_SHARE = 0.25


def arc(rx: float, ry: float, start: float, stop: float) -> np.ndarray:
    """Make points (N, 2) of an ellipse's arc around the origin; degrees, clockwise from +x."""
    angle = np.radians(np.linspace(start, stop, 33))
    return np.stack([rx * np.cos(angle), ry * np.sin(angle)], axis=1)


def line(*points: tuple[float, float]) -> np.ndarray:
    """Make points (N, 2) of a polyline."""
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
# What is put on a letter, in the same units.
ACCENTS = {
    'dot': line((0, -0.7), (0, -0.68)),
    'acute': line((-0.1, -0.63), (0.1, -0.77)),
    'grave': line((-0.1, -0.77), (0.1, -0.63)),
}
ACCENTED = GLYPHS | {
    f'{letter}-{accent}': [*GLYPHS[letter], stroke]
    for letter in CLASSES
    for accent, stroke in ACCENTS.items()
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


def paint_glyph(
    rng: np.random.Generator, image: np.ndarray, strokes: list[np.ndarray], thickness: float
) -> np.ndarray:
    """Paint strokes (in pixels) in one colour, some covered a little; returns their xywh box."""
    mask = stroke_mask(strokes, thickness, len(image))
    alpha = coverage(mask)
    paint(image, alpha * rng.uniform(0.85, 1), ink(rng, image, alpha, rng.uniform(50, 110)))
    box = np.array(cv2.boundingRect(mask)) / SUPERSAMPLE
    if rng.random() < OCCLUDED_SHARE:
        occlude(rng, image, strokes, thickness, box)
    return box


def draw_glyphs(
    rng: np.random.Generator, image: np.ndarray, taken: list[np.ndarray]
) -> list[tuple[int, np.ndarray]]:
    """Paint 4 to 10 glyphs (fewer where no room is left); returns (class index, xywh box) pairs."""
    objects = []
    for _ in range(rng.integers(4, 11)):
        label = int(rng.integers(len(CLASSES)))
        height = rng.triangular(14, 16, 32)
        thickness = rng.uniform(1.5, 2.25)
        strokes = pose(rng, GLYPHS[CLASSES[label]], height - thickness)
        strokes = place(rng, strokes, thickness, taken, len(image))
        if strokes is not None:
            objects.append((label, paint_glyph(rng, image, strokes, thickness)))
    return objects


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Add what a camera adds: uneven light, a little blur, noise; uint8."""
    image = image * lighting(rng, len(image))
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.55))
    image += rng.normal(0, rng.uniform(2, 6), image.shape).astype(np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def render_scene(
    rng: np.random.Generator, size: int
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Several glyphs of ``CLASSES``: uint8 BGR (size, size, 3), and draw_glyphs' pairs."""
    image = background(rng, size)
    taken: list[np.ndarray] = []
    objects = [] if rng.random() < EMPTY_SHARE else draw_glyphs(rng, image, taken)
    draw_distractors(rng, image, taken)
    return photograph(rng, image), objects


def render_single(rng: np.random.Generator, strokes: list[np.ndarray], size: int) -> np.ndarray:
    """One glyph of these unit strokes near the middle: uint8 BGR (size, size, 3)."""
    image = background(rng, size)
    thickness = rng.uniform(1.5, 2.25)
    strokes = pose(rng, strokes, rng.uniform(20, 32) - thickness)
    points = np.concatenate(strokes)
    shift = (size - points.min(0) - points.max(0)) / 2 + rng.uniform(-4, 4, 2)
    x, y, width, height = paint_glyph(rng, image, [stroke + shift for stroke in strokes], thickness)
    # Clutter keeps away, so that a loose dot is not taken for an accent.
    taken = [np.array([x - 3, y - 3, x + width + 3, y + height + 3])]
    draw_distractors(rng, image, taken)
    return photograph(rng, image)
