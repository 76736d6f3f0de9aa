"""Image files of every kind for tests: photographs, bombs, and what only looks like an image."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from sklearn.datasets import load_sample_image


def photograph(width: int = 24, height: int = 16) -> Image.Image:
    """Smooth colours, brightest in the lower right corner."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, (across + down) / 2], -1).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """The bytes of an image file."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A small PNG file of one colour, whatever its size: 1 bit a pixel, well compressed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    body = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def five_images() -> dict[str, bytes]:
    """A photograph, and the same in ways that trip decoders up."""
    natural = Image.fromarray(load_sample_image("china.jpg"))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    deep = np.asarray(natural.convert("L")).astype(np.uint16) * 257
    palette = natural.convert("P", palette=Image.Palette.ADAPTIVE)
    return {
        "photograph.jpg": encoded(natural, "JPEG"),
        "rotated.jpg": encoded(natural, "JPEG", exif=exif),
        "cmyk.jpg": encoded(natural.convert("CMYK"), "JPEG"),
        "deep.png": encoded(Image.fromarray(deep), "PNG"),
        "palette.png": encoded(palette, "PNG", transparency=0),
    }


def three_others() -> dict[str, bytes]:
    """A wrong file, a decompression bomb of 20 kB, and a text renamed to be an image."""
    return {
        "report.pdf": b"%PDF-1.7\n" + bytes(500),
        "bomb.png": png_of_size(13_000, 13_000),
        "renamed.png": b"dear diary\n" * 20,
    }


def write_all(files: dict[str, bytes], folder: Path) -> list[Path]:
    """The files on disk."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in files]
