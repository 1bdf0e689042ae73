import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.simulation import Stamp, read_stamp
from smartscope.simulation.stamp import write_stamp

UM = st.floats(-1e5, 1e5)


@given(
    rows=st.integers(16, 40),
    columns=st.integers(16, 40),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    channel=st.integers(0, 255),
    exposure_ms=st.floats(0.125, 1e5, width=32),
    x=UM,
    y=UM,
    z=UM,
    number=st.integers(0, 2**32 - 1),
    light=st.booleans(),
)
def test_what_is_written_is_read(
    rows: int,
    columns: int,
    dtype: type,
    channel: int,
    exposure_ms: float,
    x: float,
    y: float,
    z: float,
    number: int,
    light: bool,
) -> None:
    pixels = np.full((rows, columns), 200, dtype)
    write_stamp(pixels, Stamp(channel, exposure_ms, x, y, z, number, light))
    seen = read_stamp(pixels)
    assert (seen.channel, seen.exposure_ms) == (channel, exposure_ms)
    assert (seen.exposure_number, seen.light_on) == (number, light)
    assert (seen.x_um, seen.y_um, seen.z_um) == pytest.approx((x, y, z), abs=6e-4)


def test_a_frame_without_stamp_is_told_from_one_with() -> None:
    pixels = np.full((16, 16), 100, np.uint16)
    with pytest.raises(ValueError, match="no stamp"):
        read_stamp(pixels)
    write_stamp(pixels, Stamp(1, 10, 0, 0, 0, 0, True))
    pixels[0, 5] += 1
    with pytest.raises(ValueError, match="changed"):
        read_stamp(pixels)
    with pytest.raises(ValueError, match="16 × 16"):
        write_stamp(pixels[:, :15], Stamp(1, 10, 0, 0, 0, 0, True))
