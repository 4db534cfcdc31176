import io

import numpy as np
from PIL import Image

from harness.measurement.pictures import pairs_png


def test_pairs_stand_side_by_side_in_a_grid():
    left = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 4, 4), np.uint8)
    picture = np.asarray(Image.open(io.BytesIO(pairs_png(left, left + 4, levels=8, columns=2))))
    # Two rows of two pairs; a pair is 4 + 4 wide, and white lines part the pairs.
    assert picture.shape == (2 * 5 + 1, 2 * 10 + 1, 3)
    gray = picture[..., 0]
    for index, (top, start) in enumerate([(1, 1), (1, 11), (6, 1)]):
        assert (gray[top : top + 4, start : start + 4] == round(index * 255 / 7)).all()
        assert (gray[top : top + 4, start + 4 : start + 8] == round((index + 4) * 255 / 7)).all()
        assert (gray[top : top + 4, start + 8] == 255).all()
