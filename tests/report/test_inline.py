"""Pictures in a terminal: which protocol for which terminal, and that what is written decodes to the picture."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from mer_pipe.report import inline
from mer_pipe.report.inline import blocks, iterm2, kitty, protocol, shown, sixel
from mer_pipe.report.strips import Panels
from mer_pipe.types import MerError


@pytest.mark.parametrize(
    ("env", "how"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "mlterm-256color"}, "sixel"),
        ({"TERM": "xterm", "TERM_PROGRAM": "mintty"}, "sixel"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode"}, "blocks"),
        ({"TERM": "xterm-256color"}, "blocks"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, "blocks"),
        ({}, "blocks"),
        ({"TERM": "screen-256color", "KITTY_WINDOW_ID": "1"}, "blocks"),
        ({"TERM": "xterm-kitty", "TMUX": "/tmp/tmux-0/default,1,0"}, "blocks"),
    ],
)
def test_the_protocol_is_what_the_terminal_announces(env, how):
    assert protocol(env, True) == how


@pytest.mark.parametrize(("env", "is_terminal"), [({"TERM": "xterm-kitty"}, False), ({"TERM": "dumb"}, True)])
def test_where_no_picture_can_be_shown_the_line_says_what_to_do(env, is_terminal):
    with pytest.raises(MerError, match="-o strip.png"):
        protocol(env, is_terminal)


@pytest.fixture
def picture():
    """Smooth colours: 255 of them are enough for it."""
    y, x = np.mgrid[:50, :70]
    return np.stack([x * 3, y * 5, np.full_like(x, 90)], -1).astype(np.uint8)


def from_png(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def test_kitty_gets_the_png_in_pieces_that_it_takes(picture):
    noisy = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    for image in (noisy, picture[:4, :4]):
        pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text := kitty(png(image), 40))
        assert sum(len(a) + len(b) + 6 for a, b in pieces) == len(text)
        assert all(len(data) <= 4096 for _, data in pieces)
        assert [head[-3:] for head, _ in pieces] == ["m=1"] * (len(pieces) - 1) + ["m=0"]
        assert pieces[0][0].startswith("a=T,f=100,q=2,c=40,")
        np.testing.assert_array_equal(from_png(base64.b64decode("".join(data for _, data in pieces))), image)
    assert len(kitty(png(noisy), 40)) > 2 * 4096


def test_iterm2_gets_the_png_with_its_size(picture):
    found = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+);width=33;preserveAspectRatio=1:([\w+/=]+)\x07",
                         iterm2(png(picture), 33))  # fmt: skip
    data = base64.b64decode(found[2])
    assert len(data) == int(found[1])
    np.testing.assert_array_equal(from_png(data), picture)


def from_sixel(text):
    """A decoder of the DEC protocol, as far as pictures use it."""
    body = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\', text, re.S)
    wide, high = int(body[1]), int(body[2])
    image, colours = np.zeros((-(-high // 6) * 6, wide, 3), np.uint8), {}
    x = y = 0
    for token in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])", body[3]):
        number, r, g, b, times, run, one, move = token.groups()
        if r is not None:
            colours[number] = [round(int(v) * 255 / 100) for v in (r, g, b)]
        elif number is not None:
            pen = colours[number]
        elif move:
            x, y = 0, y + 6 * (move == "-")
        else:
            bits, count = ord(run or one) - 63, int(times or 1)
            for bit in range(6):
                if bits >> bit & 1:
                    image[y + bit, x : x + count] = pen
            x += count
            assert x <= wide
    return image[:high]


def test_sixels_decode_to_the_picture(picture):
    got = from_sixel(sixel(picture))
    assert got.shape == picture.shape
    # 255 colours, and each in steps of one hundredth.
    assert np.abs(got.astype(int) - picture).mean() < 6
    flat = np.full((13, 9, 3), (255, 0, 51), np.uint8)
    np.testing.assert_array_equal(from_sixel(sixel(flat)), flat)


def from_blocks(lines):
    rows = []
    for line in lines:
        above, below, pair = [], [], None
        for code, char in re.findall(r"\x1b\[([\d;]+)m|(.)", line):
            if code == "0":
                pair = None
            elif code:
                n = [int(v) for v in code.split(";")]
                assert n[:2] == [38, 2]
                assert n[5:7] == [48, 2]
                pair = n[2:5], n[7:10]
            else:
                assert char == "▀"
                above.append(pair[0])
                below.append(pair[1])
        assert pair is None, "the colours run on after the line"
        rows += [above, below]
    return np.array(rows, np.uint8)


def test_half_blocks_hold_two_pixels_each(picture):
    exact = np.random.default_rng(1).integers(0, 256, (10, 20, 3), np.uint8)
    np.testing.assert_array_equal(from_blocks(blocks(exact, 20)), exact)
    small = from_blocks(blocks(picture, 35))
    assert small.shape == (24, 35, 3)
    want = np.asarray(Image.fromarray(picture).resize((35, 24), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(small, want)


def bare(line):
    return re.sub(r"\x1b\[[\d;]+m", "", line)


@pytest.mark.parametrize("columns", [20, 80, 113, 200])
def test_panels_in_half_blocks_fit_the_terminal_with_their_captions_as_text(columns):
    drawn = tuple(np.full((64, 64, 3), 40 * i, np.uint8) for i in range(5))
    panels = Panels(drawn, tuple(f"AF {i}" for i in range(5)), "demo/sub01 " + "word " * 30, "how to read it")
    lines = [bare(line) for line in shown(panels, "blocks", columns).splitlines()]
    assert max(map(len, lines)) <= columns
    text = " ".join(" ".join(lines).split())
    assert all(f"AF {i}" in text for i in range(5))
    assert "how to read it" in text


@pytest.mark.parametrize("how", ["kitty", "iterm2", "sixel"])
def test_a_strip_is_no_wider_than_the_terminal(how):
    drawn = tuple(np.full((224, 224, 3), 90, np.uint8) for _ in range(6))
    text = shown(Panels(drawn, ("a",) * 6, "title"), how, 80, 720)
    if how == "sixel":
        assert from_sixel(text.rstrip("\n")).shape[1] == 720
    else:
        data = "".join(re.findall(r";([\w+/=]{40,})\x1b", text)) if how == "kitty" else text.split(":")[1][:-2]
        assert from_png(base64.b64decode(data)).shape[1] == 720
        assert ("c=80," if how == "kitty" else "width=80;") in text


def test_the_size_is_that_of_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "123")
    assert inline.size()[0] == 123
