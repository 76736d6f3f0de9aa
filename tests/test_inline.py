"""Images as addresses that hold them whole."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ncviz.ui import inline


def opened(address: str, kind: str) -> np.ndarray:
    head, _, content = address.partition(",")
    assert head == f"data:image/{kind};base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content, validate=True))))


@pytest.mark.parametrize(("side", "factor"), [(0, 1), (6, 1), (14, 2), (300, 50)])
def test_pixels_become_squares_and_keep_their_colours(side, factor):
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    shown = opened(inline.pixels(image, side), "png")
    assert shown.shape == (4 * factor, 6 * factor, 3)
    np.testing.assert_array_equal(shown, image.repeat(factor, 0).repeat(factor, 1))


def test_a_file_is_passed_on_as_it_is():
    content = io.BytesIO()
    Image.new("RGB", (5, 3), "red").save(content, "JPEG")
    address = inline.address(content.getvalue(), "jpeg")
    assert opened(address, "jpeg").shape == (3, 5, 3)
    assert base64.b64decode(address.partition(",")[2]) == content.getvalue()
