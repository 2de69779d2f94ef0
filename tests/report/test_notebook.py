"""A store and a clip in a notebook: what they show, what they fall back to, and that the example notebook is true."""

from __future__ import annotations

import base64
import html
import importlib.util
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mer_pipe
from mer_pipe.report.notebook import PRIVACY
from mer_pipe.types import StoreError
from tests.report.browser import browser
from tests.report.made_store import AFS, SIDE, flip_byte, make_store, shard_of

CLIP = "sub01/EP01_01"
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("notebook") / "demo.zarr", clips=5)


def shown(view):
    return view._repr_mimebundle_()["text/html"]


def pictures_in(page):
    for data in re.findall(r'src="data:image/\w+;base64,([^"]+)"', page):
        yield np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def words(page):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_a_store_tells_its_verdict_its_counts_and_what_is_missing(store):
    text = words(shown(mer_pipe.show(store)))
    assert "5 clips usable, 1 excluded, 1 failed" in text
    assert "happiness 2, others 2, outside the class set 1" in text
    assert "demo/sub09/EP09_09: apex 'x' is no number" in text
    assert "demo/sub08/EP05_05: no face was found" in text
    assert "magnify/image sample=5 × af=3" in text
    assert PRIVACY in text


def test_a_clip_tells_its_labels_and_shows_motion_beside_the_face(store):
    page = shown(mer_pipe.show(store, CLIP))
    text = words(page)
    assert "demo/sub01/EP01_01 happiness · onset 10, apex 20, offset 50, 200 frames a second AU 6+12" in text
    assert PRIVACY in text
    assert len(list(pictures_in(page))) == 5  # faces, flow, its key, strain, dynamic image


def test_all_pictures_under_the_slider_are_one_image_in_its_order(store):
    sheet = next(pictures_in(shown(mer_pipe.show(store, CLIP))))
    assert sheet.shape == (SIDE, SIDE * (2 + len(AFS)), 3)
    tree = mer_pipe.open(store)
    frames = [*tree["crop/image"][0].values[:2], *tree["magnify/image"][0].values]
    for i in range(len(frames)):
        part = sheet[:, i * SIDE : (i + 1) * SIDE].astype(float)
        errors = [np.abs(part - other).mean() for other in frames]
        assert int(np.argmin(errors)) == i
        assert errors[i] < 5


def test_a_path_and_an_open_tree_show_the_same(store):
    assert shown(mer_pipe.show(mer_pipe.open(store), CLIP)) == shown(mer_pipe.show(str(store), CLIP))


def test_nothing_is_asked_of_the_network_and_little_is_kept(store):
    for view in (mer_pipe.show(store), mer_pipe.show(store, CLIP)):
        page = shown(view)
        assert not re.search(r"https?:|//|<script|<link|url\(|@import", re.sub(r"base64,[^\"]+", "", page))
        assert len(page) < 400_000


def test_names_are_shown_as_they_are_written(tmp_path):
    odd = make_store(
        tmp_path / "odd.zarr", clips=1, edit={0: {"label": "<b>x</b>", "aus": '"><img src=x onerror=alert(1)>'}}
    )
    for view in (mer_pipe.show(odd), mer_pipe.show(odd, CLIP)):
        assert "<b>x</b>" not in shown(view)
        assert "<img src=x" not in shown(view)


def test_without_html_the_same_is_told_as_text(store):
    bundle = mer_pipe.show(store)._repr_mimebundle_(exclude=["text/html"])
    assert list(bundle) == ["text/plain"]
    assert "5 clips usable, 1 excluded, 1 failed" in bundle["text/plain"]
    assert "flow_onset/flow" in repr(mer_pipe.show(store, CLIP))
    assert list(mer_pipe.show(store)._repr_mimebundle_(include=["text/html"])) == ["text/html"]


def test_a_damaged_array_is_a_named_hole(tmp_path):
    broken = make_store(tmp_path / "broken.zarr", clips=1)
    flip_byte(shard_of(broken, "strain/strain"))
    flip_byte(shard_of(broken, "magnify/image"))
    text = words(shown(mer_pipe.show(broken, CLIP)))
    assert "strain is not shown: strain/strain of this clip cannot be read" in text
    assert "magnify is not shown" in text
    assert "flow_onset" in text
    assert "faces is not shown" in words(shown(mer_pipe.show(broken)))


def test_a_store_without_faces_shows_the_rest(tmp_path):
    bare = make_store(tmp_path / "bare.zarr", clips=1, only=("strain",))
    assert not list(pictures_in(shown(mer_pipe.show(bare))))
    assert len(list(pictures_in(shown(mer_pipe.show(bare, CLIP))))) == 1


def test_what_is_not_there_is_told_at_once(store, tmp_path):
    with pytest.raises(StoreError, match="no clip"):
        mer_pipe.show(store, "EP77")
    with pytest.raises(StoreError, match="there is no store"):
        mer_pipe.show(tmp_path / "none.zarr")
    with pytest.raises(StoreError, match="not opened from a store"):
        mer_pipe.show(np.zeros(3))


def test_the_slider_and_play_work_in_a_browser_on_two_clips_at_once(store, tmp_path):
    page = tmp_path / "page.html"
    clips = [shown(mer_pipe.show(store, name)) for name in (CLIP, "sub01/EP02_01")]
    page.write_text(f"<!doctype html><meta charset=utf-8>{''.join(clips)}", encoding="utf-8")
    place = (
        "return [...document.querySelectorAll('figure[data-names]')].map("
        "f => [f.querySelector('img').style.objectPosition, f.querySelector('output').textContent])"
    )
    move = "const s=document.querySelectorAll('input')[1]; s.value=3; s.dispatchEvent(new Event('input'))"
    try:
        with browser() as window:
            window.open("about:blank")
            window.requests()
            window.open(page)
            window.run(move)
            assert window.run(place) == [["0px 0px", "onset, frame 10"], [f"{-3 * SIDE}px 0px", "AF 4"]]
            window.run("document.querySelector('button').click()")
            window.until("return document.querySelector('output').textContent == 'AF 8'")
            window.until("return document.querySelector('output').textContent == 'AF 4'")  # and back
            window.run("document.querySelector('button').click()")
            assert window.run("return document.querySelector('button').textContent") == "play"
            assert window.run(place)[1] == [f"{-3 * SIDE}px 0px", "AF 4"]
            assert not window.complaints()
            assert not [url for url in window.requests() if not url.startswith(("file:", "data:"))]
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


# The example notebook


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_notebook", DOCS / "make_notebook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_notebook_is_its_script_run_to_the_end(maker):
    notebook = json.loads((DOCS / "notebooks/demo.ipynb").read_text())
    assert [(c["cell_type"], "".join(c["source"])) for c in notebook["cells"]] == maker.CELLS
    code = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1))
    assert not [o for c in code for o in c["outputs"] if o["output_type"] == "error"]
    kinds = [kind for c in code for o in c["outputs"] for kind in o.get("data", {"stream": 0})]
    assert kinds.count("text/html") == 2
    assert kinds.count("image/png") == 2
    assert "stream" in kinds


def test_the_example_notebook_tells_nothing_of_the_machine_it_ran_on():
    text = re.sub(r"[\w+/=]{200,}", "", (DOCS / "notebooks/demo.ipynb").read_text())
    assert not re.search(r"(?<![\w.])/(home|work|tmp|root|usr|Users)/|0x[0-9a-f]{6}|https?:", text)
    assert (DOCS / "notebooks/demo.ipynb").stat().st_size < 1_500_000


def test_its_cells_run_on_a_store_of_today(maker, store, tmp_path, monkeypatch):
    shutil.copytree(store, tmp_path / "demo.zarr")
    monkeypatch.chdir(tmp_path)
    cells = [c for c in maker.executed()["cells"] if c["cell_type"] == "code"]
    assert "5 clips usable" in "".join(cells[0]["outputs"][0]["data"]["text/plain"])
    assert "AF    4" in "".join(cells[-1]["outputs"][0]["text"])
