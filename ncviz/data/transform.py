"""The one way from an image to the network's input: resize, centre crop, normalise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
from PIL import Image

from ncviz.data.images import ImageSet, in_threads
from ncviz.errors import InvalidOptionError

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_BLOCK = 1024
_SMALL = 64 * 64


@dataclass(frozen=True)
class Transform:
    """Shorter side to `size`, centre crop, then ``(value / 255 - mean) / std`` per channel.

    Attributes
    ----------
    size : side of the square the network sees, in pixels
    mean, std : three numbers each, on the scale 0..1
    resample : ``"nearest"``, ``"bilinear"``, ``"bicubic"`` or ``"lanczos"``; all but the first
        are antialiased

    Raises
    ------
    InvalidOptionError : a value outside its range.
    """

    size: int = 32
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    resample: str = "bilinear"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InvalidOptionError(f"Transform size {self.size}: expected 1 or more pixels.")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InvalidOptionError(
                f"Transform mean {self.mean}, std {self.std}: expected three numbers each, std "
                "above 0."
            )
        if self.resample not in _FILTERS:
            raise InvalidOptionError(
                f"Transform resample '{self.resample}': expected {', '.join(_FILTERS)}."
            )

    def __call__(self, image: Image.Image) -> np.ndarray:
        """RGB `image` -> (size, size, 3) uint8."""
        if image.size != (self.size, self.size):
            image = self._resize_and_crop(image)
        return np.asarray(image)

    def _resize_and_crop(self, image: Image.Image) -> Image.Image:
        shorter = min(image.size)
        # Truncation and rounding as in torchvision's Resize and CenterCrop.
        width, height = (int(self.size * side / shorter) for side in image.size)
        left, top = round((width - self.size) / 2), round((height - self.size) / 2)
        resized = image.resize((width, height), _FILTERS[self.resample])
        return resized.crop((left, top, left + self.size, top + self.size))

    def normalise(self, images: np.ndarray) -> np.ndarray:
        """(B, size, size, 3) uint8 -> (B, 3, size, size) float32."""
        mean, std = np.float32(self.mean), np.float32(self.std)
        values = (images.astype(np.float32) / np.float32(255) - mean) / std
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))

    def to_dict(self) -> dict[str, object]:
        """What `from_dict` reads; holds nothing JSON has not."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """The transform a `to_dict` came from."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def decode(
    images: ImageSet,
    transform: Transform,
    *,
    indices: Sequence[int] | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> np.ndarray:
    """All images of a set, or those at `indices`, transformed but not normalised.

    Parameters
    ----------
    workers : threads; if None, one per core, or a single one where the images are small
    progress : show a bar

    Returns
    -------
    (N, size, size, 3) uint8; `decoded_bytes` says beforehand how much memory that is.

    Raises
    ------
    CorruptFileError : an image that does not decode, by name. `load(..., skip_corrupt=True)`
        leaves such images out before they get here, so that rows and labels stay aligned.
    """
    chosen = range(len(images)) if indices is None else indices
    pixels = np.empty((len(chosen), transform.size, transform.size, 3), np.uint8)

    def fill(row: int) -> None:
        pixels[row] = transform(images.image(chosen[row]))

    title = f"decoding {images.full_name}"
    if workers is None and len(chosen):
        workers = _threads_for(images.image(chosen[0]))
    in_threads(fill, len(chosen), workers=workers, progress=bool(progress), title=title)
    return pixels


def _threads_for(image: Image.Image) -> int | None:
    # A small image costs more time in Python than in Pillow, and there threads wait for each other.
    return 1 if image.width * image.height <= _SMALL else None


def decoded_bytes(n: int, transform: Transform) -> int:
    """Memory that `decode` takes for `n` images."""
    return n * transform.size * transform.size * 3


def channel_mean_std(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and population standard deviation per channel of (N, S, S, 3) uint8, on 0..1."""
    # Counting the 256 values is exact, and blocks keep bincount's integer copies small.
    counts = np.zeros((3, 256))
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        counts += [np.bincount(block[..., c].ravel(), minlength=256) for c in range(3)]
    share = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = share @ values
    variance = (share * (values - mean[:, None]) ** 2).sum(axis=1)
    return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())
