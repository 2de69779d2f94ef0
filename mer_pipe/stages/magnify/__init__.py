"""Motion magnification. AF is always the total displacement factor: 1 is the identity; a paper's alpha is AF - 1."""

from mer_pipe.stages.magnify.eulerian import Eulerian
from mer_pipe.stages.magnify.eulerian_clip import EulerianClip
from mer_pipe.stages.magnify.flow_warp import FlowWarp, FlowWarpClip
from mer_pipe.stages.magnify.learned import Learned
from mer_pipe.stages.magnify.mer import Mer, MerClip
from mer_pipe.stages.magnify.pair import magnify
from mer_pipe.stages.magnify.phase import Phase
from mer_pipe.stages.magnify.phase_clip import PhaseClip
from mer_pipe.stages.magnify.pixel import Pixel

__all__ = [
    "Eulerian",
    "EulerianClip",
    "FlowWarp",
    "FlowWarpClip",
    "Learned",
    "Mer",
    "MerClip",
    "Phase",
    "PhaseClip",
    "Pixel",
    "magnify",
]
