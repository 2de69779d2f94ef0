"""Draw the README's pictures from a built demo: python docs/make_pictures.py demo.zarr"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import mer_pipe
from mer_pipe.report import pictures
from mer_pipe.report.inspect import clip_strip

CLIP = "sub01/EP01_01"
FOLDER = Path(__file__).parent / "pictures"
WIDTH = 1200


def motion_strip(store: str) -> np.ndarray:
    """Onset, flow, strain, dynamic image, and flow and strain of the magnified clip, side by side."""
    tree = mer_pipe.open(store)
    row = [name.endswith(CLIP) for name in tree["sample"].values].index(True)
    flow = tree["flow_onset/flow"][row].values
    strain = tree["strain/strain"][row].values
    motion = tree["motion/motion"][row].values
    scale, big = pictures.flow_scale(flow), pictures.flow_scale(motion[..., :2])
    return pictures.strip(
        [
            tree["crop/image"].sel(mark="onset")[row].values,
            pictures.flow_picture(flow, scale),
            pictures.flow_key(224),
            pictures.strain_picture(strain),
            pictures.signed_picture(tree["dynamic/image"][row].values),
            pictures.flow_picture(motion[..., :2], big),
            pictures.strain_picture(motion[..., 2]),
        ],
        [
            "onset",
            f"flow, onset to apex: rim {scale:g} px",
            "direction of the flow",
            "strain",
            "dynamic image of the magnified clip",
            f"its flow: rim {big:g} px",
            "its strain",
        ],
        "",
    )


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, drawn in (("af.png", clip_strip(sys.argv[1], CLIP)[0]), ("motion.png", motion_strip(sys.argv[1]))):
        height = round(drawn.shape[0] * WIDTH / drawn.shape[1])
        pictures.write_png(FOLDER / name, np.asarray(Image.fromarray(drawn).resize((WIDTH, height), Image.LANCZOS)))
