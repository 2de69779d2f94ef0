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
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

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


class Basic(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + identity)


class ResNet(nn.Module):
    """ResNet-18 up to its third stage."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Basic(64, 64, 1), Basic(64, 64, 1))
        self.layer2 = nn.Sequential(Basic(64, 128, 2), Basic(128, 128, 1))
        self.layer3 = nn.Sequential(Basic(128, 256, 2), Basic(256, 256, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer3(self.layer2(self.layer1(self.maxpool(torch.relu(self.bn1(self.conv1(x)))))))


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False, padding_mode="reflect")


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(width, width), conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(torch.relu(self.conv1(x)))


def residuals(count: int, width: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(width) for _ in range(count)))


class Named(nn.Module):
    """One convolution under the name that published checkpoints give it."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.conv1 = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(x)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.resblks = conv(3, 16, 7), conv(16, 32, 3, 2), residuals(3, 32)
        self.conv1_text, self.resblks_text = conv(32, 32, 3, 2), residuals(2, 32)
        self.conv1_shape, self.resblks_shape = conv(32, 32), residuals(2, 32)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = self.resblks(torch.relu(self.conv2(torch.relu(self.conv1(image)))))
        return self.resblks_text(torch.relu(self.conv1_text(x))), self.resblks_shape(torch.relu(self.conv1_shape(x)))


class Manipulator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convblks = nn.Sequential(Named(conv(32, 32, 7)))
        self.convblks_after, self.resblks = nn.Sequential(Named(conv(32, 32))), residuals(1, 32)

    def forward(self, a: Tensor, b: Tensor, excess: float) -> Tensor:
        return b + self.resblks(self.convblks_after(torch.relu(self.convblks(b - a)) * excess))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1_text, self.resblks = conv(32, 32), residuals(9, 64)
        self.conv1, self.conv2 = conv(64, 32), conv(32, 3, 7)

    def forward(self, texture: Tensor, shape: Tensor) -> Tensor:
        texture = torch.relu(self.conv1_text(interpolate(texture, scale_factor=2)))
        x = interpolate(self.resblks(torch.cat([texture, shape], 1)), scale_factor=2)
        return self.conv2(torch.relu(self.conv1(x)))


class MagNet(nn.Module):
    """Learned magnification as published: both frames in, one magnified frame out. 928,144 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.manipulator, self.decoder = Encoder(), Manipulator(), Decoder()

    def forward(self, a: Tensor, b: Tensor, excess: float) -> Tensor:
        _, shape_a = self.encoder(a)
        texture, shape_b = self.encoder(b)
        return self.decoder(texture, self.manipulator(shape_a, shape_b, excess))


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
