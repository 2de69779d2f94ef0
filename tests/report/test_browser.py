"""A report used in a real browser: sliders, sorting, filters, keys; no errors, no requests, little weight, fits a phone."""

from __future__ import annotations

import pytest

from mer_pipe.report.page import write_report
from tests.report.browser import browser
from tests.report.made_store import flip_byte, make_store, shard_of

MANY = 250
SHOWN = "return [...document.querySelectorAll('#sheet > li:not([hidden])')].map((card) => card.dataset.id)"
BUDGET = 3_000_000
CANVAS, BOX, SIDE = (323, 253), (3.4, 11.608), 89.6
"""Of `made_store`'s scene: a frame of 320 x 240 px at 80 %, the ground that its box needs, and the box of 112 px of it."""


@pytest.fixture(scope="module")
def chrome():
    try:
        with browser() as window:
            yield window
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def window(chrome):
    """A browser on a desktop screen that must not complain, nor ask for anything but files, while a test runs."""
    chrome.open("about:blank")
    chrome.complaints(), chrome.requests()
    chrome.screen(1400, 900)
    yield chrome
    assert chrome.complaints() == []
    kinds = {url.partition(":")[0] for url in chrome.requests()}
    assert kinds <= {"file", "data", "about"}, kinds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("browser")
    store = make_store(root / "demo.zarr", clips=12, kinds={1: "still", 2: "huge", 3: "head"})
    flip_byte(shard_of(store, "strain/strain"), 5 * (112 * 112 * 4 + 4) + 9)
    write_report(store, root / "one.html", single_file=True)
    write_report(store, root / "safe", shareable=True)
    return write_report(store, root / "report").parent


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A report of 250 clips whose pictures are noise, which compresses worse than any face."""
    root = tmp_path_factory.mktemp("many")
    only = ("crop", "flow_onset", "strain", "dynamic")
    return write_report(make_store(root / "many.zarr", clips=MANY, only=only, noise=30), root / "report").parent


@pytest.fixture
def index(window, folder):
    window.open(folder / "index.html")
    return window


@pytest.fixture
def clip(window, folder):
    window.open(sorted((folder / "clips").iterdir())[0])
    return window


def ids(folder_of):
    return folder_of.run(SHOWN)


def choose(window, name, value):
    window.run(
        "const field = document.querySelector('#filters').elements[arguments[0]]; field.value = arguments[1];"
        "field.dispatchEvent(new Event('input', { bubbles: true }))",
        name,
        value,
    )


# Weight and speed


def test_the_first_page_of_250_clips_weighs_less_than_its_budget(many):
    weight = sum(
        p.stat().st_size for p in (many / "index.html", *(many / "assets").iterdir(), *(many / "thumbs").iterdir())
    )
    assert weight <= BUDGET, weight


def test_250_clips_open_in_under_a_second(window, many):
    times = []
    for _ in range(3):
        window.open(many / "index.html")
        times.append(window.run("const [page] = performance.getEntriesByType('navigation'); return page.loadEventEnd"))
    assert len(ids(window)) == MANY
    assert 0 < min(times) < 1000, times


def test_250_clips_sort_and_filter_at_once(window, many):
    window.open(many / "index.html")
    took = window.run(
        "const form = document.querySelector('#filters'), from = performance.now();"
        "form.elements.sort.value = 'motion'; form.elements.label.value = 'others';"
        "form.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - from"
    )
    assert len(ids(window)) == MANY // 3
    assert took < 500


# The contact sheet


def test_the_sheet_shows_all_clips_in_order_and_every_picture_loads(index):
    assert len(ids(index)) == 12
    assert ids(index) == sorted(ids(index))
    index.until(
        "return [...document.images].every((image) => { image.loading = 'eager'; return image.naturalWidth > 0 })"
    )


def test_sorting_by_motion_both_ways(index):
    choose(index, "sort", "motion")
    rising = index.run(
        "return [...document.querySelectorAll('#sheet > li')].map((card) => Number(card.dataset.motion))"
    )
    assert rising == sorted(rising)
    assert rising[0] < rising[-1] / 50
    index.click("#direction")
    assert index.run("return document.querySelector('#sheet > li').dataset.motion") == str(rising[-1])
    assert index.run("return document.querySelector('#direction').ariaLabel") == "order: descending"


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [("subject", "demo/sub02", 3), ("label", "others", 4), ("label", "", 4), ("AU", "12", 4), ("AU", "L4", 4),
     ("flag", "hole", 1), ("flag", "head moves", 1), ("flag", "any", 4)],
)  # fmt: skip
def test_filters_keep_what_they_name(index, name, value, count):
    choose(index, name, value)
    assert len(ids(index)) == count
    assert index.run("return document.querySelector('#count').textContent") == f"{count} of 12"


def test_filters_add_up_and_reset(index):
    choose(index, "label", "others")
    index.type("[name=find]", "sub03")
    assert ids(index) == ["demo/sub03/EP02_01"]
    index.type("[name=find]", "zzz")
    assert index.run("return !document.querySelector('#empty').hidden")
    index.click("#filters [type=reset]")
    assert len(ids(index)) == 12


def test_the_back_button_brings_the_filters_back(index):
    choose(index, "label", "others")
    choose(index, "sort", "motion")
    before = ids(index)
    index.click("#sheet > li:not([hidden]) a")
    index.until("return location.pathname.includes('/clips/')")
    index.run("history.back()")
    assert len(before) == 4
    # The sheet is there before its script has hidden anything.
    index.until("return document.querySelectorAll('#sheet > li:not([hidden])').length === 4")
    assert ids(index) == before


def test_a_bar_of_the_class_chart_filters_the_sheet(index):
    index.run(
        "document.querySelector('#distributions a[href*=label]').dispatchEvent(new MouseEvent('click', { bubbles: true }))"
    )
    index.until("return location.hash.includes('label=')")
    index.until("return document.querySelectorAll('#sheet > li:not([hidden])').length === 4")


def test_keys_find_walk_and_open(index):
    index.press("/")
    assert index.run("return document.activeElement.name") == "find"
    index.press("s", "u", "b", "0", "2")
    assert len(ids(index)) == 3
    index.press("escape", "j", "j")
    assert index.run("return document.activeElement.closest('li').dataset.id") == "demo/sub02/EP02_01"
    index.press("enter")
    index.until("return document.querySelector('article.clip')?.dataset.name === '0005-sub02-EP02_01'")
    index.press("j")
    index.until("return document.querySelector('article.clip')?.dataset.name === '0006-sub02-EP03_01'")
    index.press("u")
    index.until("return document.querySelector('#sheet') !== null")


def test_the_key_list_opens_and_closes(index):
    index.press("?")
    assert index.run("return document.querySelector('#keys').open")
    index.press("escape")
    assert not index.run("return document.querySelector('#keys').open")


# One clip


def test_the_slider_shows_the_af_it_stands_on(clip):
    large = "return document.querySelector('[data-large]').src"
    output = "return document.querySelector('[data-player] output').textContent"
    seen = set()
    for at, label in enumerate(["AF 0, onset", "AF 1, apex", "AF 2", "AF 4", "AF 8"]):
        clip.run(
            "const slider = document.querySelector('[data-player] input[type=range]'); slider.value = arguments[0];"
            "slider.dispatchEvent(new Event('input', { bubbles: true }))",
            at,
        )
        assert clip.run(output) == label
        own = clip.run(f"return document.querySelector('[data-at=\"{at}\"] .picture').src")
        assert clip.run(large) == own
        seen.add(own)
    assert len(seen) == 5


def test_arrow_keys_step_and_a_click_on_a_small_picture_jumps(clip):
    output = "return document.querySelector('[data-player] output').textContent"
    start = clip.run(output)
    clip.press("right")
    assert clip.run(output) != start
    clip.press("left")
    assert clip.run(output) == start
    clip.click("[data-player] [data-at='0']")
    assert clip.run(output) == "AF 0, onset"
    assert clip.run("return document.querySelector('[data-at=\"0\"]').ariaPressed") == "true"


def test_play_runs_through_the_afs_and_stops(clip):
    output = "return document.querySelector('[data-player] output').textContent"
    clip.press("space")
    seen = {clip.run(output)}
    clip.until(f"window.seen ??= new Set(); seen.add((() => {{ {output} }})()); return seen.size === 5")
    clip.press("space")
    stopped = clip.run(output)
    clip.run("return new Promise((done) => setTimeout(done, 400))")
    assert clip.run(output) == stopped
    assert seen


def test_the_difference_takes_the_place_of_the_picture(clip):
    large = "return document.querySelector('[data-large]').src"
    picture = clip.run(large)
    clip.press("d")
    assert clip.run(large) != picture
    assert clip.run(large) == clip.run("return document.querySelector('[data-at][aria-pressed=true] .change').src")
    clip.press("d")
    assert clip.run(large) == picture


def test_onset_and_apex_flip_by_key_click_and_button(clip):
    shown = "return document.querySelector('[data-frame]:not([hidden])').dataset.frame"
    assert clip.run(shown) == "onset"
    clip.press("f")
    assert clip.run(shown) == "apex"
    clip.click("[data-stage]")
    assert clip.run(shown) == "onset"
    clip.click("[data-show=offset]")
    assert clip.run(shown) == "offset"
    clip.press("f")
    assert clip.run(shown) == "onset"


def test_arrows_of_the_flow_can_be_hidden(clip):
    visible = "return getComputedStyle(document.querySelector('.arrows')).display !== 'none'"
    assert clip.run(visible)
    clip.click("[data-arrows]")
    assert not clip.run(visible)


@pytest.mark.parametrize("page", ["report", "safe"])
@pytest.mark.parametrize("width", [390, 1000, 1400])
def test_the_crop_box_lies_on_the_frame_where_it_was_cut_out(window, folder, page, width):
    window.screen(width, 900, phone=width < 500)
    window.open(sorted((folder.parent / page / "clips").iterdir())[0])
    image, overlay, box = window.run(
        "return ['img', 'svg', '.edge path'].map((own) => {"
        " const { x, y, width, height } = document.querySelector(`.stack:has(> .box) > ${own}, .box ${own}`)"
        ".getBoundingClientRect(); return [x, y, width, height] })"
    )
    assert overlay == pytest.approx(image, abs=0.6)
    assert image[2] / image[3] == pytest.approx(CANVAS[0] / CANVAS[1], rel=0.01)
    scale = image[2] / CANVAS[0]
    expected = [image[0] + BOX[0] * scale, image[1] + BOX[1] * scale, SIDE * scale, SIDE * scale]
    assert box == pytest.approx(expected, abs=1)


def test_a_hole_is_named_on_its_page(window, folder):
    window.open(sorted((folder / "clips").iterdir())[5])
    assert "Hole: strain/strain" in window.run("return document.querySelector('.hole').textContent")


# A single file, privacy, screens


def test_a_single_file_shows_a_clip_in_place_and_comes_back(window, folder):
    window.open(folder.parent / "one.html")
    window.requests()
    window.click("#sheet > li:nth-child(3) a")
    window.until("return document.querySelector('#clip article')?.dataset.name === '0003-sub01-EP03_01'")
    assert window.run("return document.querySelector('main').hidden")
    output = "return document.querySelector('#clip output').textContent"
    start = window.run(output)
    window.press("right")
    assert window.run(output) != start
    window.press("j")
    window.until("return document.querySelector('#clip article')?.dataset.name === '0004-sub02-EP01_01'")
    window.press("u")
    window.until("return !document.querySelector('main').hidden")
    assert len(ids(window)) == 12
    assert {url.partition(":")[0] for url in window.requests()} <= {"data"}


def test_the_page_forbids_what_it_promises_not_to_do(chrome, folder):
    chrome.open(folder / "index.html")
    chrome.complaints(), chrome.requests()
    chrome.run("fetch('http://127.0.0.1:9/').catch(() => {}); new Image().src = 'http://127.0.0.1:9/x.png'")
    chrome.run("return new Promise((done) => setTimeout(done, 200))")
    refused = chrome.complaints()
    told = [line for line in refused if "Content Security Policy" in line]
    assert any("Connecting" in line for line in told), refused
    assert any("img-src" in line for line in told), refused


@pytest.mark.parametrize("page", ["report/index.html", "clip", "safe/index.html", "one.html"])
@pytest.mark.parametrize("width", [360, 390, 820])
def test_nothing_is_wider_than_the_screen(window, folder, page, width):
    window.screen(width, 800, phone=True)
    window.open(sorted((folder / "clips").iterdir())[0] if page == "clip" else folder.parent / page)
    assert window.run("return document.documentElement.scrollWidth") <= width


def test_dark_follows_the_system_and_the_key(window, folder):
    ground = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    window.screen(1400, 900, dark=True)
    window.open(folder / "index.html")
    assert window.run(ground) < 60
    window.press("t")
    assert window.run(ground) > 200
    window.run("localStorage.clear()")


def test_text_stands_out_from_its_ground(window, folder):
    contrast = """
      const part = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
      const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
        return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
      const ground = (node) => { for (; node; node = node.parentElement) {
        const own = getComputedStyle(node).backgroundColor; if (!/, 0\\)$/.test(own)) return own; } return 'rgb(9, 9, 9)'; };
      const weak = [];
      for (const node of document.querySelectorAll('p, dt, dd, th, td, b, span, a, button, summary, output, h1, h2, h3')) {
        if (!node.textContent.trim() || !node.checkVisibility() || node.closest('svg')) continue;
        const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) weak.push(node.outerHTML.slice(0, 90));
      }
      return weak"""
    for dark in (False, True):
        window.screen(1400, 900, dark=dark)
        for page in (folder / "index.html", sorted((folder / "clips").iterdir())[1]):
            window.open(page)
            assert window.run(contrast) == []


def test_every_picture_and_control_has_a_name(window, folder):
    for page in (folder / "index.html", sorted((folder / "clips").iterdir())[0]):
        window.open(page)
        nameless = window.run(
            "return [...document.querySelectorAll('img, button, input, select, svg[role=img], a')].filter((node) =>"
            " !(node.alt || node.ariaLabel || node.textContent.trim() || node.closest('label')?.textContent.trim()))"
            ".map((node) => node.outerHTML.slice(0, 80))"
        )
        assert nameless == []
