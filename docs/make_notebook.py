"""Write docs/notebooks/demo.ipynb by running its cells in order: python docs/make_notebook.py demo.zarr

Nothing but Python and mer-pipe is needed: a cell runs as a notebook would run it, and what its last line gives is kept.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "notebooks" / "demo.ipynb"

CELLS: list[tuple[str, str]] = [
    (
        "markdown",
        """# Look at a store

Build the demo first; its faces are generated, so it may be shown to anyone:

```
mer-pipe build --dataset demo
```

A store of a real database holds people's faces under a licence. Clear the outputs of such a notebook before you pass it
on.""",
    ),
    ("code", 'import mer_pipe\n\nmer_pipe.show("demo.zarr")'),
    (
        "markdown",
        "One clip: move the slider from onset over apex through the amplification factors (AF). "
        "AF 1 is the apex as it was filmed. (The slider needs a notebook that runs; elsewhere all pictures are side by "
        "side.)",
    ),
    ("code", 'mer_pipe.show("demo.zarr", "sub01/EP01_01")'),
    (
        "markdown",
        "Every array is an xarray variable with named axes and units. The first axis is the clip, and nothing is read "
        "before you index it.",
    ),
    (
        "code",
        """store = mer_pipe.open("demo.zarr")
for name in ("crop/image", "magnify/image", "flow_onset/flow", "strain/strain"):
    array = store[name]
    print(f"{name:16} {dict(array.sizes)} {array.dtype} {array.attrs['units']}")""",
    ),
    ("markdown", "Labels, marks and frame rates are coordinates of the same axis."),
    (
        "code",
        """row = list(store["sample"].values).index("demo/sub01/EP01_01")
{name: store[name][row].values.tolist() for name in ("label", "aus", "onset", "apex", "offset")}""",
    ),
    (
        "markdown",
        """The functions behind the stages take and give arrays. Here the motion from onset to apex is measured again, and the
apex magnified at a factor that the store does not hold.""",
    ),
    (
        "code",
        """onset = store["crop/image"].sel(mark="onset")[row].values
apex = store["crop/image"].sel(mark="apex")[row].values
flow = mer_pipe.tvl1(onset, apex)  # (y, x, 2): u, v in px
strain = mer_pipe.optical_strain(flow)  # (y, x)
bigger = mer_pipe.magnify(onset, apex, af=[7.5])  # (af, y, x, channel)
print(flow.shape, flow.dtype, strain.shape, bigger.shape)""",
    ),
    (
        "code",
        """from PIL import Image

from mer_pipe.report import pictures

drawn = [onset, apex, bigger[0], pictures.flow_picture(flow), pictures.strain_picture(strain)]
captions = ["onset", "apex", "AF 7.5", f"flow, rim {pictures.flow_scale(flow):g} px", "strain"]
Image.fromarray(pictures.strip(drawn, captions, "", scale=0.7))""",
    ),
    (
        "markdown",
        """How much of the wanted motion is in the magnified images? `compare_recipes` magnifies the clip in two ways and
measures both. The command line does the same: `mer-pipe inspect demo.zarr sub01/EP01_01 --compare stored
magnify.method=eulerian -o two.png`.""",
    ),
    (
        "code",
        """from mer_pipe.api import compare_recipes

both = compare_recipes("demo.zarr", "sub01/EP01_01", "stored", "magnify.method=eulerian", af=(2.0, 4.0, 8.0))
Image.fromarray(both.panels.strip(0.6))""",
    ),
    (
        "code",
        """for af, ssim, flow_warp, eulerian in zip(both.af, both.ssim, *both.motion, strict=True):
    print(f"AF {af:4g}   SSIM {ssim:.3f}   motion {flow_warp:.2f} and {eulerian:.2f} of what was asked for")""",
    ),
]


def executed() -> dict[str, Any]:
    """The notebook, its cells run in one namespace in the present folder."""
    space: dict[str, Any] = {"__name__": "__main__"}
    cells, count = [], 0
    for number, (kind, source) in enumerate(CELLS):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": _lines(source)}
        if kind == "code":
            count += 1
            cell |= {"execution_count": count, "outputs": _outputs(source, count, space)}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def written(notebook: dict[str, Any]) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _outputs(source: str, count: int, space: dict[str, Any]) -> list[dict[str, Any]]:
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    said, value = io.StringIO(), None
    with contextlib.redirect_stdout(said):
        exec(compile(tree, f"<cell {count}>", "exec"), space)
        if last is not None:
            value = eval(compile(last, f"<cell {count}>", "eval"), space)
    outputs: list[dict[str, Any]] = []
    if said.getvalue():
        outputs.append({"name": "stdout", "output_type": "stream", "text": _lines(said.getvalue())})
    if value is not None:
        data = _data(value)
        outputs.append({"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return outputs


def _data(value: Any) -> dict[str, Any]:
    """A value as IPython would show it, by the methods that it has."""
    if hasattr(value, "_repr_mimebundle_") and isinstance(bundle := value._repr_mimebundle_(None, None), dict):
        found = dict(bundle)
    else:
        found = {"text/plain": repr(value)}
    if "text/html" not in found and hasattr(value, "_repr_png_"):
        # An image tells where it lies in memory.
        found = {"text/plain": f"<image of {value.size[0]} x {value.size[1]} px>"}
        return found | {"image/png": base64.b64encode(value._repr_png_()).decode()}
    return {kind: _lines(text) for kind, text in found.items() if isinstance(text, str)}


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    store = Path(sys.argv[1]).resolve()
    os.chdir(store.parent)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(written(executed()), encoding="utf-8")
    print(f"{TARGET}: {TARGET.stat().st_size / 1e6:.2f} MB")
