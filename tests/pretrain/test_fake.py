"""The generated sheets."""

from __future__ import annotations

import numpy as np
import pytest

from mer_pipe.pretrain.fake import write_fake
from mer_pipe.pretrain.ferplus import PARTS, read
from mer_pipe.pretrain.parts import divide
from mer_pipe.pretrain.votes import EMOTIONS, NO_FACE
from mer_pipe.types import DatasetError

SEED = 2  # one of whose few images shows no face


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fake") / "sheets"
    counts = write_fake(folder, images=60, seed=SEED)
    return folder, counts


def test_generated_sheets_are_read_without_a_complaint(written):
    folder, counts = written
    faces = read(folder / "fer2013.csv", folder / "fer2013new.csv")
    assert counts == {"Training": 48, "PublicTest": 6, "PrivateTest": 6}
    assert np.bincount(faces.part).tolist() == list(counts.values())
    assert faces.excluded == ()
    assert (faces.votes.sum(1) == 10).all()
    assert faces.agreement > 0.6
    assert faces.source == "generated faces"
    made = divide(faces, "crossentropy")
    assert sum(count > 0 for count in made.training.counts.values()) == len(EMOTIONS)
    assert set(made.left_out) == set(PARTS)
    assert made.left_out["Training"].get(NO_FACE, 0) >= 1


def test_the_same_seed_gives_the_same_files_and_another_gives_others(written, tmp_path):
    folder, _ = written
    write_fake(tmp_path / "again", images=60, seed=SEED)
    write_fake(tmp_path / "other", images=40, seed=4)
    for name in ("fer2013.csv", "fer2013new.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
        assert not (folder / name).read_bytes().startswith((tmp_path / "other" / name).read_bytes()[:9000])


def test_a_folder_that_holds_something_is_refused(written):
    with pytest.raises(DatasetError, match="is not an empty folder"):
        write_fake(written[0])
    with pytest.raises(DatasetError, match="cannot be made"):
        write_fake(written[0] / "new", images=3)
