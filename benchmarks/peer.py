"""A straightforward script for the same arrays, from public descriptions; `build.py` runs it beside mer-pipe.

It does what per-clip scripts in the field do, one library call a step, with nothing shared between steps:

    align      the eye finder of mer-pipe itself, so that both start from the same eyes at the same cost
    crop       rotate the frame, cut the square out, resize it; each frame is decoded once for both sizes
    magnify    a full pass for every AF: flow by OpenCV's DIS and a remap, or an eager network of Oh et al. (ECCV 2018)
    clip       Eulerian magnification by Laplacian pyramids and an FFT over time (Wu et al., SIGGRAPH 2012)
    TIM        centre, SVD, path-graph embedding (Zhou et al., CVPR 2011)
    flow       OpenCV's DualTVL1 with OpenCV's defaults
    strain     np.gradient
    pooling    scikit-learn's LinearSVC on all pairs of frames
    features   an eager ResNet-18 in torchvision's structure, one image at a time, cut after layer3
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from dynamic import sklearn_ranksvm
from interpolate import graph_embedding
from peer_networks import MagNet, ResNet
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from mer_pipe.recipes import Recipe
from mer_pipe.stages.eyes import find_eyes
from mer_pipe.types import Sample

Magnifier = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - begun


def by_network(net: MagNet) -> Magnifier:
    def scaled(image: np.ndarray) -> Tensor:
        return torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)[None]

    @torch.no_grad()
    def magnify(a: np.ndarray, b: np.ndarray, af: float) -> np.ndarray:
        out = net(scaled(a), scaled(b), af - 1)[0].numpy().transpose(1, 2, 0)
        return np.clip(np.rint((out + 1) * 127.5), 0, 255).astype(np.uint8)

    return magnify


def by_dis(fine: bool) -> Magnifier:
    """Flow by DIS for each AF anew, pixels moved by one remap.

    `fine` takes the settings whose flow mer-pipe magnifies: down to full resolution, patches every 3 px, 20 variational
    iterations. Otherwise OpenCV's preset "medium".
    """

    def magnify(a: np.ndarray, b: np.ndarray, af: float) -> np.ndarray:
        dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        if fine:
            dis.setFinestScale(0)
            dis.setPatchStride(3)
            dis.setVariationalRefinementIterations(20)
        flow = dis.calc(gray(a), gray(b), None) * (af - 1)
        y, x = np.mgrid[: a.shape[0], : a.shape[1]].astype(np.float32)
        return cv2.remap(b, x - flow[..., 0], y - flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    return magnify


def gray(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def cut(frame: np.ndarray, eyes: np.ndarray, size: int, recipe: Recipe) -> np.ndarray:
    """Rotate the frame round the middle of the eyes, cut the square out, resize it."""
    (dx, dy), (x, y) = eyes[1] - eyes[0], eyes.mean(0)
    side = math.hypot(dx, dy) / recipe.align.eye_distance
    turn = cv2.getRotationMatrix2D((float(x), float(y)), math.degrees(math.atan2(dy, dx)), 1)
    turned = cv2.warpAffine(frame, turn, frame.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    left, top = round(x - side / 2 + 0.5), round(y - side * recipe.align.eye_height + 0.5)
    right, bottom = left + round(side), top + round(side)
    height, width = frame.shape[:2]
    border = [max(0, v) for v in (-top, bottom - height, -left, right - width)]
    if any(border):
        turned = cv2.copyMakeBorder(turned, *border, cv2.BORDER_REPLICATE)
    face = turned[top + border[0] : bottom + border[0], left + border[2] : right + border[2]]
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)


def eulerian(clip: np.ndarray, recipe: Recipe, fps: float) -> np.ndarray:
    """The clip with its band of frequencies times alpha, level by level of a Laplacian pyramid."""
    evm = recipe.evm
    levels = int(math.log2(min(clip.shape[1:3]) / 4))
    pyramids = [laplacian(frame.astype(np.float32), levels) for frame in clip]
    frequencies = np.fft.fftfreq(len(clip), 1 / fps)
    band = (np.abs(frequencies) >= evm.low) & (np.abs(frequencies) <= max(evm.high, 1.5 * fps / len(clip)))
    changes = []
    for level in range(levels + 1):
        stack = np.fft.fft(np.stack([pyramid[level] for pyramid in pyramids]), axis=0)
        stack[~band] = 0
        alpha = min(evm.af - 1, evm.af * 4 * 2**level / evm.lambda_c - 1) if level < levels else evm.af - 1
        changes.append(np.fft.ifft(stack, axis=0).real.astype(np.float32) * max(0, alpha))
    out = np.empty_like(clip)
    for t, frame in enumerate(clip):
        change = changes[-1][t]
        for level in reversed(range(levels)):
            change = changes[level][t] + cv2.pyrUp(change, dstsize=changes[level].shape[2:0:-1])
        out[t] = np.clip(np.rint(frame + change), 0, 255)
    return out


def laplacian(image: np.ndarray, levels: int) -> list[np.ndarray]:
    bands = []
    for _ in range(levels):
        smaller = cv2.pyrDown(image)
        bands.append(image - cv2.pyrUp(smaller, dstsize=image.shape[1::-1]))
        image = smaller
    return [*bands, image]


def tvl1(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return cv2.optflow.createOptFlow_DualTVL1().calc(gray(source), gray(target), None)


def strain(flow: np.ndarray) -> np.ndarray:
    uy, ux = np.gradient(flow[..., 0])
    vy, vx = np.gradient(flow[..., 1])
    return np.sqrt(ux**2 + vy**2 + 0.5 * (uy + vx) ** 2)


@torch.no_grad()
def features(net: ResNet, image: np.ndarray) -> Tensor:
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pixels = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 255)
    return net(((pixels - mean) / std)[None])


def build_clip(
    sample: Sample, recipe: Recipe, net: ResNet, magnify: Magnifier, folder: Path
) -> tuple[dict[str, np.ndarray], Counter[str]]:
    """All arrays of one clip, under the names of the store, also written as .npy; and the seconds of each stage."""
    clock, r, out = Clock(), recipe, {}
    onset, apex = 0, sample.apex - sample.onset
    with clock("crop"):
        files = sample.frames.files[sample.onset : sample.offset + 1]
        frames = [np.ascontiguousarray(cv2.imread(file)[..., ::-1]) for file in files]
    with clock("align"):
        eyes = find_eyes(frames[onset])
    with clock("crop"):
        faces = [cut(frame, eyes, r.crop.size, r) for frame in frames]
        large = np.stack([cut(frame, eyes, r.msmmt.size, r) for frame in frames])
    out["crop/image"] = np.stack([faces[onset], faces[apex], faces[-1]])
    with clock("magnify"):
        out["magnify/image"] = np.stack([magnify(faces[onset], faces[apex], af) for af in r.mrn.af])
        at_ruan = magnify(faces[onset], faces[apex], r.ruan.af)
    with clock("features"):
        maps = [features(net, image) for image in out["magnify/image"]]
        pooled = [adaptive_avg_pool2d(one, 2).flatten().numpy() for one in maps]
        out["features_mrn/vector"] = np.stack(pooled).astype(np.float16)
    with clock("TIM"):
        steps = out["interpolate/image"] = graph_embedding(np.stack(faces), r.aman.frames)
    with clock("magnify"):
        sequence = [[magnify(steps[0], step, af) for af in r.aman.af] for step in steps]
    with clock("features"):
        maps = [[features(net, image)[0].numpy() for image in row] for row in sequence]
        out["features_aman/map"] = np.array(maps).astype(np.float16)
    out["gray/image"] = gray(at_ruan)
    with clock("flow"):
        out["flow_onset/flow"] = tvl1(faces[onset], faces[apex]).astype(np.float16)
        out["flow_offset/flow"] = tvl1(faces[-1], faces[apex]).astype(np.float16)
    with clock("strain"):
        out["strain/strain"] = strain(out["flow_onset/flow"].astype(np.float32)).astype(np.float16)
    with clock("clip magnification"):
        clip = eulerian(large, r, sample.fps)
    with clock("rank pooling"):
        out["dynamic/image"] = sklearn_ranksvm(clip).reshape(clip.shape[1:]).astype(np.float32)
    with clock("flow"):
        flow = tvl1(clip[onset], clip[apex])
    with clock("strain"):
        out["motion/motion"] = np.dstack([flow, strain(flow)]).astype(np.float16)
    with clock("write, publish"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in out.items():
            np.save(folder / f"{name.replace('/', '_')}.npy", array)
    return out, clock.seconds
