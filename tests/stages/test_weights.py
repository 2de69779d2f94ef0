"""Checkpoint files: only the pinned bytes, only tensors, and a refusal that says what to do."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mer_pipe.stages.weights import file_digest, load_state
from mer_pipe.types import ModelError, Weights

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1.0, -1.0])}


class Payload:
    """A pickle that makes a folder when something unpickles it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def pinned(path: Path) -> Weights:
    return Weights(file_digest(str(path)), str(path))


def same(state: dict[str, torch.Tensor]) -> bool:
    return state.keys() == TENSORS.keys() and all(torch.equal(state[k], TENSORS[k]) for k in TENSORS)


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_usual_wrapping_gives_the_same_tensors(tmp_path, wrapper, prefix, old_format):
    state = {prefix + name: tensor for name, tensor in TENSORS.items()}
    content = state if wrapper is None else {"epoch": 12, "loss": 0.07, wrapper: state}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not old_format)
    assert same(load_state(pinned(tmp_path / "w.pth")))


def test_safetensors_are_read(tmp_path):
    safetensors.torch.save_file(TENSORS, tmp_path / "w.bin")
    assert same(load_state(pinned(tmp_path / "w.bin")))


def test_a_prefix_that_only_some_names_have_stays(tmp_path):
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "w.pth")
    assert set(load_state(pinned(tmp_path / "w.pth"))) == {"module.a", "b"}


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("old_format", [False, True])
def test_a_hostile_checkpoint_is_refused_and_its_payload_does_not_run(tmp_path, wrapped, old_format):
    trap = tmp_path / "trap"
    content = {"state_dict": TENSORS, "optimizer": Payload(trap)} if wrapped else Payload(trap)
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not old_format)
    with pytest.raises(ModelError, match="not only tensors") as refused:
        load_state(pinned(tmp_path / "w.pth"))
    assert not trap.exists()
    assert "torch.save" in refused.value.fix
    pickle.loads(pickle.dumps(Payload(trap)))  # the payload is a live one
    assert trap.exists()


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_bare_hostile_pickle_is_refused_and_does_not_run(tmp_path, protocol):
    trap = tmp_path / "trap"
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(Payload(trap), protocol=protocol))
    with pytest.raises(ModelError):
        load_state(pinned(tmp_path / "w.pkl"))
    assert not trap.exists()


def test_a_pickled_module_is_refused_and_the_conversion_told(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(ModelError, match=r"torch\.nn\.modules\.linear\.Linear") as refused:
        load_state(pinned(tmp_path / "w.pt"))
    assert "state_dict()" in refused.value.fix
    assert "\n" not in str(refused.value)


def test_the_told_conversion_works(tmp_path):
    import shlex
    import subprocess
    import sys

    layer = torch.nn.Linear(2, 2)
    torch.save(layer, tmp_path / "old.pt")
    with pytest.raises(ModelError) as refused:
        load_state(pinned(tmp_path / "old.pt"))
    command = shlex.split(refused.value.fix[refused.value.fix.index("python -c") :])
    command = [sys.executable, *command[1:-2], str(tmp_path / "old.pt"), str(tmp_path / "new.pt")]
    subprocess.run(command, check=True, capture_output=True)
    assert torch.equal(load_state(pinned(tmp_path / "new.pt"))["weight"], layer.weight)


def test_one_changed_byte_is_noticed_before_the_file_is_opened(tmp_path):
    torch.save(TENSORS, tmp_path / "w.pth")
    weights = pinned(tmp_path / "w.pth")
    content = bytearray((tmp_path / "w.pth").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ModelError, match="is not the pinned file"):
        load_state(weights)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x00" * 64, b"PK\x03\x04 not a zip", b"\x10\0\0\0\0\0\0\0{nonsense!!!!!!!"]
)
def test_bytes_that_are_no_checkpoint_are_refused(tmp_path, content):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(ModelError):
        load_state(pinned(tmp_path / "w.pth"))


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1.0}, {"state_dict": {"a": "b"}}, torch.zeros(3)])
def test_a_checkpoint_without_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError):
        load_state(pinned(tmp_path / "w.pth"))


def test_what_is_missing_is_named(tmp_path):
    absent = tmp_path / "absent.pth"
    with pytest.raises(ModelError, match=r"absent\.pth cannot be read"):
        load_state(Weights("sha256:" + "0" * 64, str(absent)))
    with pytest.raises(ModelError, match="name no file"):
        load_state(Weights("sha256:" + "0" * 64))
    with pytest.raises(ModelError, match="64 hex digits"):
        load_state(Weights("sha256:abc", str(absent)))
