"""Any .npy file is read or refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.tasks.speech.raw.item import Problem
from stages.tasks.speech.raw.npy import read_frames, read_symbols
from tests.tasks.speech.raw.packing import npy

# NumPy, about a shape whose product overflows.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in reduce:RuntimeWarning")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    descr=st.sampled_from(["<f4", "<f8", "<U3", "<U0", "|S2", "|O", "<M8[s]", "<c16", "|V4", "<i2", "nonsense"]),
    fortran=st.booleans(),
    shape=st.lists(st.integers(-1, 6) | st.sampled_from([10**12, 2**63]), max_size=3).map(tuple),
    body=st.binary(max_size=200),
)
def test_any_header_is_read_or_refused(descr: str, fortran: bool, shape: tuple[int, ...], body: bytes) -> None:
    header = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}".encode().ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body
    for decode in (read_frames, read_symbols):
        try:
            assert len(decode(content)) <= len(body)
        except Problem as error:
            assert str(error)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(npy(data.draw(st.sampled_from([np.zeros((3, 2), np.float32), np.array(["HH", "AY"])]))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for decode in (read_frames, read_symbols):
        try:
            decode(bytes(content[: data.draw(st.integers(0, len(content)))]))
        except Problem as error:
            assert str(error)
