"""Adapters by name: loaded when asked for, with options checked."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mer_pipe.datasets import ADAPTERS, adapter_of, list_clips, options_of
from mer_pipe.types import DatasetError


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_of_the_table_exists_and_takes_a_root(name):
    assert adapter_of(name).__name__ == "list_clips"
    assert "root" not in options_of(name)
    assert "apex_policy" in options_of(name)


def test_unknown_names_are_answered_with_the_nearest(casme2_root):
    with pytest.raises(DatasetError, match="Did you mean casme2"):
        list_clips("casmeii", casme2_root)
    with pytest.raises(DatasetError, match="no option 'class-set'. Did you mean class_set"):
        list_clips("casme2", casme2_root, **{"class-set": "5"})
    with pytest.raises(DatasetError, match="needs the folder"):
        list_clips("casme2")


def test_options_reach_the_adapter(casme2_root):
    assert len(list_clips("casme2", casme2_root, class_set="3").samples) == 2


def test_importing_the_datasets_loads_nothing_heavy():
    heavy = "cv2 PIL openpyxl numba scipy skimage torch mediapipe"
    code = (
        "import sys, mer_pipe.datasets, mer_pipe.datasets.demo\n"
        "for name in mer_pipe.datasets.ADAPTERS: mer_pipe.datasets.options_of(name)\n"
        f"print([m for m in '{heavy}'.split() if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
