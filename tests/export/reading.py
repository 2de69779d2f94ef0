"""Exports read as public loaders read them, written anew from what those do; and a store read by zarr alone."""

from __future__ import annotations

import csv
import os
import tarfile
from pathlib import Path

import cv2
import numpy as np
import zarr


def of_store(store: Path, name: str) -> dict[str, np.ndarray]:
    """Sample id -> one array, through zarr."""
    root = zarr.open_group(str(store), mode="r")
    return dict(zip(root["sample"][...].tolist(), root[name][...], strict=True))


def motion_of(store: Path) -> dict[str, np.ndarray]:
    """Sample id -> u, v, strain (y, x, 3) float64 from flow_onset and strain."""
    flow, strain = of_store(store, "flow_onset/flow"), of_store(store, "strain/strain")
    return {one: np.dstack([flow[one], strain[one]]).astype(np.float64) for one in flow}


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ststnet(main_path: Path) -> dict[str, dict[str, list[tuple[str, int, np.ndarray]]]]:
    """All that STSTNet's loop over `main_path` meets: every entry of it is a subject, every folder below a class."""
    found: dict[str, dict[str, list]] = {}
    for subject in os.listdir(main_path):
        parts = found[subject] = {"u_train": [], "u_test": []}
        for part, read in parts.items():
            for expression in os.listdir(f"{main_path}/{subject}/{part}"):
                for image in os.listdir(f"{main_path}/{subject}/{part}/{expression}"):
                    picture = cv2.imread(f"{main_path}/{subject}/{part}/{expression}/{image}")
                    read.append((image, int(expression), picture))
    return found


def htnet(root: Path) -> tuple[dict[str, np.ndarray], dict[str, dict]]:
    """HTNet's faces by the picture's name, from its table; and its pictures, each of which must have such a face."""
    import pandas

    frame = pandas.read_csv(root / "combined_3_class2_for_optical_flow.csv")
    faces = {}
    for at in range(len(frame)):
        name = str(frame["sub"][at]) + "_" + str(frame["filename_o"][at]) + " .png"
        faces[name] = cv2.imread(str(root / "datasets/combined_datasets_whole" / frame["imagename"][at]))
    whole = root / "datasets/STSNet_whole_norm_u_v_os"
    parts = {name: (faces[name], cv2.imread(str(whole / name))) for name in os.listdir(whole)}
    folds = ststnet(root / "datasets/three_norm_u_v_os")
    return {name: face for name, (face, _) in parts.items()}, {
        subject: {part: [(parts[image][1], label) for image, label, _ in read] for part, read in own.items()}
        for subject, own in folds.items()
    }


def webdataset(paths: list[Path]) -> list[tuple[str, dict[str, bytes]]]:
    """The samples of shards: runs of members with one key, which ends at the first dot of the file's name."""
    samples: list[tuple[str, dict[str, bytes]]] = []
    for path in paths:
        with tarfile.open(path) as shard:
            for member in shard:
                key, _, extension = member.name.partition(".")
                if not samples or samples[-1][0] != key:
                    samples.append((key, {}))
                samples[-1][1][extension] = shard.extractfile(member).read()
    return samples


def tree(out: Path) -> dict[str, bytes]:
    """Every file of a folder by its path."""
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}
