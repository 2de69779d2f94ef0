"""List the demo database, writing it first where it is absent, and read its true motion."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mer_pipe.types import DatasetError, Listing, Sample


@dataclass(frozen=True)
class Truth:
    """What really moved in one demo clip.

    Attributes
    ----------
    flow : (rows, columns, 2) float32, px of the raw frame: u (right), v (down) from the onset to the apex frame, head
        and expression together; the apex shows at x + flow(x) what the onset shows at x. Exact to 1e-3 px.
    expression : (rows, columns, 2) float32, px: the expression alone at its apex, as a displacement sampled at the
        pixel it ends in.
    numbers : (n,) frame numbers, onset to offset.
    apex : the apex's frame number.
    strength, head, gain : (n,), (n, 2, 3), (n,) float64: per frame, share of the expression, rigid motion since the
        onset (onset px -> frame px), brightness factor.
    """

    flow: np.ndarray
    expression: np.ndarray
    numbers: np.ndarray
    apex: int
    strength: np.ndarray
    head: np.ndarray
    gain: np.ndarray

    def flow_to(self, number: int) -> np.ndarray:
        """The true flow from the onset frame to frame `number`, as `flow`."""
        from mer_pipe.datasets.demo.motion import flow

        at = int(np.flatnonzero(self.numbers == number)[0])
        return flow(self.expression.astype(np.float64), self.strength[at], self.head[at])


def list_clips(
    root: str | os.PathLike[str] | None = None,
    *,
    subjects: int = 4,
    clips: int = 6,
    frames: tuple[int, int] = (24, 40),
    size: tuple[int, int] = (300, 400),
    seed: int = 0,
    fps: float = 200.0,
    class_set: str = "5",
    apex_policy: str = "sheet",
) -> Listing:
    """List the demo database in `root`; where `root` is absent or empty, generate it there first.

    Parameters
    ----------
    root : the demo's folder. None: a folder of the user's cache ($XDG_CACHE_HOME or ~/.cache), one for each set of
        parameters.
    subjects, clips, frames, size, seed, fps : what to generate, see `mer_pipe.datasets.demo.generate`; for an existing
        demo they must be those it was made with.
    class_set, apex_policy : as for CASME II, see `mer_pipe.datasets.casme2.list_clips`.

    Raises
    ------
    DatasetError : `root` holds something else, or a demo of other parameters; or an option is unknown.
    """
    from mer_pipe.datasets.casme2 import read
    from mer_pipe.datasets.demo import plan

    asked = plan.parameters(subjects=subjects, clips=clips, frames=frames, size=size, seed=seed, fps=fps)
    folder = _cache_folder(asked) if root is None else Path(root).absolute()
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        from mer_pipe.datasets.demo.write import generate

        generate(folder, **{name: value for name, value in asked.items() if name != "version"})
    found = plan.read_marker(folder)
    if found is None:
        raise DatasetError(
            f"{folder} holds no demo database", "Name a new or empty folder, and the demo is made there."
        )
    if found != asked:
        other = ", ".join(f"{k} {found.get(k)} instead of {v}" for k, v in asked.items() if found.get(k) != v)
        raise DatasetError(
            f"{folder} holds a demo of other parameters: {other}", "Name a new folder, or delete this one."
        )
    tree = folder / plan.TREE
    return read(
        folder, "demo", sheet=folder / plan.SHEET, tree=tree, class_set=class_set, apex_policy=apex_policy, fps=fps
    )


def read_truth(root: str | os.PathLike[str] | None, sample: Sample) -> Truth:
    """Read the true motion of a demo clip.

    Parameters
    ----------
    root : the demo's folder; None takes it from the sample's own frames.
    sample : a sample of `list_clips`.

    Raises
    ------
    DatasetError : there is no truth for this clip.
    """
    folder = Path(sample.frames.files[0]).parents[3] if root is None else Path(root)
    path = folder / "truth" / sample.subject / f"{sample.clip}.npz"
    try:
        with np.load(path, allow_pickle=False) as data:
            fields = {name: data[name] for name in data.files}
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"no true motion for {sample.id}: {error}", "Delete the demo's folder to make it anew."
        ) from None
    return Truth(**{**fields, "apex": int(fields["apex"])})


def _cache_folder(asked: dict) -> Path:
    import hashlib
    import json

    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
    return base / "mer-pipe" / f"demo-{digest}"
