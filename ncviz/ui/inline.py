"""Images as addresses that hold them whole.

Streamlit's store of images forgets one as soon as a newer script run is without it, which may be
before the browser of somebody who steps fast has asked for it: the image then stays broken.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def address(file: bytes, kind: str = "png") -> str:
    """The address of an image file of this kind."""
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


def pixels(image: np.ndarray, side: int = 0) -> str:
    """The address of an RGB image (H, W, 3), enlarged towards `side` by a whole factor.

    Each pixel becomes a square: what blurs when a browser enlarges it was never there.
    """
    factor = max(1, side // max(image.shape[:2]))
    enlarged = np.kron(image, np.ones((factor, factor, 1), np.uint8))
    content = io.BytesIO()
    Image.fromarray(enlarged).save(content, "PNG")
    return address(content.getvalue())
