"""The linear probe: it is scikit-learn's own model, told to a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mer_pipe.heads.head import Batch, Inputs, Training
from mer_pipe.heads.probe import Probe
from mer_pipe.types import RecipeError

ARRAY = "features_mrn/vector"


class Made:
    """Some clips in memory."""

    def __init__(self, classes: int, clips: int = 40) -> None:
        source = torch.Generator().manual_seed(0)
        self.labels = torch.arange(clips) % classes
        self.x = torch.randn(clips, 3, 5, generator=source)
        self.x[:, 2, :classes] += 2 * torch.nn.functional.one_hot(self.labels, classes)
        self.units = torch.zeros(clips, 0)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, positions: torch.Tensor) -> Batch:
        return Batch({ARRAY: self.x[positions]}, self.labels[positions], self.units[positions], positions)


def inputs(classes: int) -> Inputs:
    return Inputs({ARRAY: (3, 5)}, {ARRAY: {"af": (2.0, 4.0, 6.0)}}, tuple("abcd"[:classes]))


def fitted(head: Probe, clips: Made, classes: int):
    network = head.network(inputs(classes))
    head.prepare(network, clips)
    return head.probabilities(network.eval(), clips.batch(torch.arange(len(clips))))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("pool", ["mean", "concatenate"])
def test_probabilities_are_scikit_learns(classes, pool):
    clips = Made(classes)
    said = fitted(Probe(pool=pool, strength=0.5), clips, classes)
    x = clips.x.double().numpy()
    x = x.mean(1) if pool == "mean" else x.reshape(len(x), -1)
    x = (x - x.mean(0)) / x.std(0, ddof=1)
    model = LogisticRegression(C=0.5, max_iter=5000, class_weight="balanced").fit(x, clips.labels)
    assert np.allclose(said, model.predict_proba(x), atol=2e-3)
    assert np.allclose(said.sum(1), 1, atol=1e-5)


def test_a_factor_alone_is_read_alone():
    clips = Made(3)
    informed = (fitted(Probe(af=(6.0,)), clips, 3).argmax(1) == clips.labels).float().mean()
    blind = (fitted(Probe(af=(2.0,)), clips, 3).argmax(1) == clips.labels).float().mean()
    assert informed > 0.75
    assert blind < informed


def test_a_class_without_training_clips_is_never_said():
    clips = Made(2)
    said = fitted(Probe(), clips, 3)
    assert set(said.argmax(1).tolist()) == {0, 1}
    assert said[:, 2].max() < 1e-6


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"pool": "max"}, "pool='max' is unknown"),
        ({"array": "gray/image"}, "array='gray/image' is unknown"),
        ({"strength": 0.0}, "is not above 0"),
        ({"training": Training(epochs=5)}, "it has no epochs"),
        ({"af": (3.0,)}, "af=3 is not in features_mrn/vector"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, told):
    with pytest.raises(RecipeError, match=told):
        Probe(**values).network(inputs(3))
