"""Files of fixed bytes that other libraries read."""

from __future__ import annotations

import csv
import io
import time
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from mer_pipe.export import encode


@pytest.mark.parametrize(("height", "width"), [(28, 28), (1, 1), (3, 500), (257, 256)])
def test_two_libraries_see_the_picture_that_was_written(height, width):
    """The last is longer than one stored block of 64 KiB."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)
    data = encode.png(image)
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], image)
    with Image.open(io.BytesIO(data)) as seen:
        seen.verify()  # checksums
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)


def test_only_a_picture_is_written():
    for wrong in (np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(ValueError, match="a picture is uint8"):
            encode.png(wrong)


def test_arrays_keep_dtype_shape_and_bits():
    arrays = {
        "a/b": np.array([[1.5, -0.0, np.nan]], np.float16),
        "c": np.arange(3, dtype="int32"),
        "d": np.float64(2.0),
    }
    with np.load(io.BytesIO(encode.npz(arrays)), allow_pickle=False) as found:
        for name, array in arrays.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert found[name].tobytes() == array.tobytes()


def test_an_npz_tells_no_time(monkeypatch):
    one = encode.npz({"a": np.zeros(3)})
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert encode.npz({"a": np.zeros(3)}) == one
    assert zipfile.ZipFile(io.BytesIO(one)).infolist()[0].date_time[0] == 1980


def test_a_table_keeps_commas_quotes_and_other_scripts():
    rows = [{"a": 'x, "y"', "b": 1}, {"a": "微表情", "b": None}]
    found = list(csv.DictReader(io.StringIO(encode.table(rows).decode(), newline="")))
    assert found == [{"a": 'x, "y"', "b": "1"}, {"a": "微表情", "b": ""}]
