import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from isthmus.inference.tiling import tiles


@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(1, 60), st.integers(0, 9), st.sampled_from([1, 2, 4, 8]))
def test_tiles_cover_a_picture_once_with_all_that_a_pixel_depends_on(size, side, receptive_radius, stride):
    picture = np.arange(size[0] * size[1]).reshape(size)
    count = np.zeros(size, int)
    for tile in tiles(size, side, receptive_radius, stride):
        assert np.array_equal(picture[tile.window][tile.inner], picture[tile.outer])
        count[tile.outer] += 1
        for window, outer, length in zip(tile.window, tile.outer, size, strict=True):
            assert window.start % stride == 0
            assert window.start <= max(0, outer.start - receptive_radius)
            assert window.stop >= min(length, outer.stop + receptive_radius)
            assert window.stop - window.start <= max(side, stride + 2 * (receptive_radius + stride))
    assert count.min() == count.max() == 1
