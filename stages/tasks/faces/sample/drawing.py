"""Drawing of faces.

An identity is some forty numbers: the shapes of head, hair, eyes, brows, nose and mouth, colours, and possibly glasses or a
beard. Pose, light, expression, background and occlusion vary between images, independently of the identity, so that
comparing pixels fails and a network must learn faces.

Points are complex numbers, so that a product turns and scales them. 0 lies between eyes and nose, the real axis points
right, and the imaginary axis points down, from -1j, the crown, to 1j, the chin.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SIDE, CANVAS = 48, 96  # faces are drawn at a side of 96 and shrunk, which smooths their edges
BITS = 4  # OpenCV's integer coordinates are sixteenths of a pixel
# RGB. An identity's skin is between two neighbours of these, its hair and irises are near one of them.
SKINS = np.array([[250, 214, 190], [226, 176, 140], [176, 120, 84], [98, 62, 44]], float)
HAIRS = np.array([[28, 24, 26], [70, 44, 30], [126, 78, 44], [158, 68, 36], [222, 184, 110], [176, 174, 172]], float)
IRISES = np.array([[60, 36, 22], [120, 80, 40], [70, 110, 70], [60, 110, 180], [110, 120, 130]], float)
EYEWHITE, TEETH, PUPIL = np.array([[240.0, 238, 234], [235, 230, 225], [0, 0, 0]])
SHAPE = {  # ranges of a face's shape, drawn uniformly; heights are in y, tilts in radians
    "width": (0.62, 0.88),
    "jaw": (1.6, 3.4),  # exponent of the lower outline: pointed to square
    "ear": (0.06, 0.2),
    "bald": (-1.0, 5.0),  # below 0: bald
    "volume": (0.03, 0.24),  # of the hair, beyond the head
    "length": (-0.6, 1.2),  # the height of its lower end
    "curl": (0.0, 0.07),
    "hairline": (-0.78, -0.38),
    "parting": (-0.5, 0.5),
    "fringe": (-0.25, 0.25),
    "eye_height": (-0.2, 0.02),
    "eye_distance": (0.25, 0.4),
    "eye_width": (0.11, 0.19),
    "eye_open": (0.45, 0.8),
    "eye_tilt": (-0.35, 0.35),
    "brow_height": (0.15, 0.27),
    "brow_thickness": (0.02, 0.08),
    "brow_tilt": (-0.3, 0.3),
    "glasses": (-0.45, 0.27),  # half-width of a lens; below 0.15: none
    "roundness": (2.0, 5.0),  # of the lenses: round to rectangular
    "nose_length": (0.22, 0.46),
    "nose_width": (0.07, 0.19),
    "mouth_height": (0.5, 0.68),
    "mouth_width": (0.17, 0.38),
    "mouth_curve": (-0.05, 0.07),
    "lips": (0.03, 0.11),
    "beard": (-1.0, 0.75),  # the height of its upper end; below 0.2: none
    "moustache": (-0.1, 0.06),  # half its thickness; below 0: none
}
CIRCLE = np.exp(2j * np.pi * np.arange(24) / 24)
ACROSS = np.linspace(-1, 1, 13)
DOME = np.exp(1j * np.pi * np.linspace(1, 2, 32))  # from left over the top to right
WAVES = np.sin(12 * np.pi * np.linspace(1, 2, 32))
NECK = np.array([-0.4 + 0.5j, 0.4 + 0.5j, 0.45 + 1.5j, -0.45 + 1.5j])
SHOULDERS = np.array([-0.4 + 1.15j, 0.4 + 1.15j, 1.5 + 1.5j, 1.7 + 3j, -1.7 + 3j, -1.5 + 1.5j])
BROW = np.array([-1.3 + 0.15j, -0.1j, 1.3 + 0.25j])
HAT = np.array([-1.2, 1.2, 0.9 - 0.2j, 0.7 - 0.9j, -0.7 - 0.9j, -0.9 - 0.2j])
SCARF = np.array([-1 - 0.2j, 0, 1 - 0.2j, 1.2 + 1j, -1.2 + 1j])


@dataclass(frozen=True)
class Identity:
    """A person: values of SHAPE, colours, and the positions of moles."""

    shape: dict[str, float]
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lips: np.ndarray
    rim: np.ndarray
    moles: np.ndarray


class Pen:
    """Draws a face's points on `image` (CANVAS, CANVAS, 3) uint8, in a random pose of the head."""

    def __init__(self, image: np.ndarray, width: float, random: np.random.Generator) -> None:
        self.image: Any = image
        self.width, self.yaw, self.nod = width, random.uniform(-0.4, 0.4), random.uniform(-0.2, 0.2)
        self.scale = CANVAS * random.uniform(0.31, 0.4)
        self.lean = self.scale * np.exp(1j * random.normal(0, 0.13))
        self.centre = CANVAS * (0.5 + 0.53j + random.uniform(-0.07, 0.07) + 1j * random.uniform(-0.07, 0.07))

    def fill(self, points: np.ndarray, colour: np.ndarray, lift: float = 0.0) -> None:
        cv2.fillPoly(self.image, [self._project(points, lift)], colour.tolist(), cv2.LINE_AA, BITS)

    def line(self, points: np.ndarray, colour: np.ndarray, thickness: float, lift: float = 0.0) -> None:
        pixels = max(1, round(thickness * self.scale))
        cv2.polylines(self.image, [self._project(points, lift)], False, colour.tolist(), pixels, cv2.LINE_AA, BITS)

    def _project(self, points: np.ndarray, lift: float) -> Any:
        """Project points on the head, an ellipsoid, to pixels. lift: their height above it."""
        x, y = points.real, points.imag
        z = 0.7 * np.sqrt(np.maximum(0, 1 - (x / self.width) ** 2 - y**2)) + lift
        turned = x * np.cos(self.yaw) + z * np.sin(self.yaw) + 1j * (y * np.cos(self.nod) + z * np.sin(self.nod))
        return np.round((self.centre + self.lean * turned) * 2**BITS).view(float).reshape(-1, 2).astype(np.int32)


def identity(random: np.random.Generator) -> Identity:
    """Draw a random identity."""
    tone = random.uniform(0, len(SKINS) - 1)
    skin = np.array([np.interp(tone, range(len(SKINS)), channel) for channel in SKINS.T]) + random.normal(0, 5, 3)
    return Identity(
        shape={name: random.uniform(low, high) for name, (low, high) in SHAPE.items()},
        skin=skin.clip(0, 255),
        hair=(random.choice(HAIRS) + random.normal(0, 10, 3)).clip(0, 255),
        iris=random.choice(IRISES),
        lips=(skin * random.uniform(0.65, 0.95) + random.uniform(0, 1) * np.array([40, -15, -5])).clip(0, 255),
        rim=random.uniform(0, 130, 3),
        moles=random.uniform(-0.5, 0.5, (max(0, int(random.integers(-3, 4))), 2)) @ [1, 1j] + 0.25j,
    )


def draw(person: Identity, random: np.random.Generator) -> np.ndarray:
    """Draw an image (SIDE, SIDE, 3) uint8, RGB, of `person`."""
    ground = random.uniform(30, 220) + random.normal(0, 30, 3) + random.normal(0, 30, (4, 4, 3))
    image = cv2.resize(ground.clip(0, 255).astype(np.uint8), (CANVAS, CANVAS))
    pen = Pen(image, person.shape["width"], random)
    _draw_head(pen, person, random)
    _draw_eyes(pen, person, random)
    _draw_nose(pen, person)
    _draw_mouth(pen, person, random)
    _draw_front_hair(pen, person)
    _cover(pen, random)
    return _expose(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), random)


def _draw_head(pen: Pen, person: Identity, random: np.random.Generator) -> None:
    shape, skin = person.shape, person.skin
    width = shape["width"]
    if shape["bald"] > 0:
        wide = width * (1 + shape["volume"])
        pen.fill(np.append(_crown(shape), [wide + 1j * shape["length"], -wide + 1j * shape["length"]]), person.hair * 0.8)
    pen.fill(NECK, skin * 0.8)
    pen.fill(SHOULDERS, random.uniform(0, 255, 3))
    for side in (-1, 1):
        pen.fill(_oval(side * width + 0.05j, shape["ear"], 0.2), skin * 0.9)
    skull = width * DOME.real + 1j * DOME.imag
    jaw = _oval(0, width, 1, shape["jaw"])[: len(CIRCLE) // 2 + 1]
    pen.fill(np.append(skull, jaw), skin)
    if shape["beard"] > 0.2:
        pen.fill(np.append(ACROSS * width + 1j * shape["beard"] * (1 - ACROSS**4), jaw), 0.8 * person.hair + 0.2 * skin)


def _draw_eyes(pen: Pen, person: Identity, random: np.random.Generator) -> None:
    """Draw eyes, brows and glasses; opening, gaze and raised brows vary between images."""
    shape, size = person.shape, person.shape["eye_width"]
    opening, gaze = shape["eye_open"] * random.uniform(0.65, 1.15), size * random.uniform(-0.3, 0.3)
    raised = shape["brow_height"] + random.normal(0, 0.025)
    for side in (-1, 1):
        eye = side * shape["eye_distance"] + 1j * shape["eye_height"]
        lids = eye + _facing(side, _oval(0, size, size * opening) * np.exp(1j * shape["eye_tilt"]))
        radius = size * min(0.6, opening)
        pen.fill(lids, EYEWHITE)
        pen.fill(_oval(eye + gaze, radius, radius), person.iris)
        pen.fill(_oval(eye + gaze, radius / 2, radius / 2), PUPIL)
        pen.line(lids[len(lids) // 2 :], person.skin * 0.35, 0.03)
        brow = eye - 1j * raised + _facing(side, BROW * size * np.exp(1j * shape["brow_tilt"]))
        pen.line(brow, person.hair * 0.75, shape["brow_thickness"])
        if shape["glasses"] > 0.15:
            lens = _oval(eye + 0.03j, shape["glasses"], 0.85 * shape["glasses"], shape["roundness"])
            pen.line(np.append(lens, lens[0]), person.rim, 0.04, lift=0.1)
            pen.line(np.array([1j * eye.imag, eye - side * shape["glasses"]]), person.rim, 0.04, lift=0.1)


def _draw_nose(pen: Pen, person: Identity) -> None:
    """Draw nose and moles."""
    shape, skin = person.shape, person.skin
    root, tip = 1j * shape["eye_height"], 1j * (shape["eye_height"] + shape["nose_length"] + 0.08)
    wings = np.array([tip - shape["nose_width"], tip + 0.06j, tip + shape["nose_width"]])
    pen.fill(np.append(wings, [root + 0.04, root - 0.04]), skin * 0.9, lift=0.12)
    pen.line(wings, skin * 0.55, 0.035, lift=0.12)
    for mole in person.moles:
        pen.fill(_oval(mole, 0.035, 0.035), skin * 0.4)


def _draw_mouth(pen: Pen, person: Identity, random: np.random.Generator) -> None:
    """Draw mouth and moustache; smile and open lips vary between images."""
    shape, full = person.shape, 1 - ACROSS**2
    smile, gap = shape["mouth_curve"] + random.normal(0, 0.05), max(0.0, random.normal(0, 0.06))
    line = ACROSS * (shape["mouth_width"] + smile / 2) + 1j * (shape["mouth_height"] + smile * (full - 0.5))
    if shape["moustache"] > 0:
        ridge, half = line * 1.1 - 1j * (0.12 * shape["mouth_height"] + shape["lips"]), shape["moustache"]
        pen.fill(_band(ridge - 1j * half * full, ridge + 1j * (half + 0.02)), person.hair * 0.9)
    pen.fill(_band(line - 1j * shape["lips"] * full, line + 1j * (shape["lips"] + gap) * full), person.lips)
    pen.fill(_band(line, line + 1j * gap * full), TEETH if gap > 0.05 else person.skin * 0.3)
    pen.line(line, person.skin * 0.3, 0.03)


def _draw_front_hair(pen: Pen, person: Identity) -> None:
    """Draw the hair between crown and hairline."""
    shape = person.shape
    if shape["bald"] > 0:
        fringe = shape["fringe"] * (1 - np.abs(ACROSS - shape["parting"])) ** 2
        hairline = np.minimum(shape["hairline"] + 0.6 * ACROSS**4 + fringe, -0.1)
        pen.fill(np.append(_crown(shape), (ACROSS * shape["width"] + 1j * hairline)[::-1]), person.hair)


def _cover(pen: Pen, random: np.random.Generator) -> None:
    """Draw an occasional scarf, hat or occlusion."""
    kind, colour = random.random(), random.uniform(0, 255, 3)
    if kind < 0.05:
        pen.fill(SCARF + 1j * random.uniform(0.45, 0.7), colour)
    elif kind < 0.1:
        pen.fill(HAT - 1j * random.uniform(0.4, 0.65), colour)
    elif kind < 0.2:
        centre = random.uniform(-0.9, 0.9) + 1j * random.uniform(-0.9, 0.9)
        pen.fill(_oval(centre, random.uniform(0.15, 0.35), random.uniform(0.15, 0.35), 9.0), colour, lift=0.3)


def _expose(image: Any, random: np.random.Generator) -> np.ndarray:
    """Add coloured light from one side, blur and noise."""
    ramp = np.linspace(-1, 1, SIDE)
    angle, warmth = random.uniform(0, 2 * np.pi), random.normal(0, 0.06)
    light = 1 + random.uniform(0, 0.45) * (np.cos(angle) * ramp + np.sin(angle) * ramp[:, None])
    tint = random.uniform(0.65, 1.15) * np.array([1 + warmth, 1, 1 - warmth])
    noise = random.uniform(2, 7) * random.standard_normal(image.shape, np.float32)
    image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.2, 0.7)) * light[..., None] * tint
    return np.asarray((image + noise).clip(0, 255), np.uint8)


def _oval(centre: complex, width: float, height: float, exponent: float = 2.0) -> np.ndarray:
    """Return an ellipse or, with a larger exponent, a rounded rectangle, from the right, the lower half first."""
    x, y = (np.sign(axis) * np.abs(axis) ** (2 / exponent) for axis in (CIRCLE.real, CIRCLE.imag))
    return centre + width * x + 1j * height * y


def _crown(shape: dict[str, float]) -> np.ndarray:
    """Return the outline of the hair, from ear to ear."""
    return (shape["width"] * DOME.real + 1j * DOME.imag) * (1 + shape["volume"]) * (1 + shape["curl"] * WAVES)


def _band(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    return np.append(upper, lower[::-1])


def _facing(side: int, points: np.ndarray) -> np.ndarray:
    """Mirror points of the right half for side -1, the left."""
    return side * points.real + 1j * points.imag
