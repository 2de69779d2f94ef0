"""Pictures inside a terminal: by the Kitty, iTerm2 or sixel protocol where it announces one, else as half blocks."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Iterator, Mapping

import numpy as np

from mer_pipe.report.strips import Panels, fitted
from mer_pipe.types import MerError

KITTY, ITERM2, SIXEL, BLOCKS = "kitty", "iterm2", "sixel", "blocks"
CELL = 9
"""px a character is taken to be wide where the terminal does not tell."""
NARROW = 26
"""Characters a picture gets at least when it is drawn in half blocks: a mouth is then some ten wide."""
CHUNK = 4096
"""Bytes of base64 that one escape of the Kitty protocol holds at most."""
SIXEL_COLOURS = 255


def protocol(env: Mapping[str, str], is_terminal: bool) -> str:
    """How this terminal shows pictures, by what it announces: "kitty", "iterm2", "sixel" or "blocks".

    Within tmux or screen always "blocks": they pass no picture on unless told to.

    Parameters
    ----------
    env : the environment: TERM, TERM_PROGRAM, KITTY_WINDOW_ID, TMUX.
    is_terminal : whether the output goes to one.

    Raises
    ------
    MerError : the output is a file or a pipe, or the terminal can place no colours.
    """
    term, program = env.get("TERM", ""), env.get("TERM_PROGRAM", "")
    if not is_terminal or term == "dumb":
        what = "the output is not a terminal" if not is_terminal else "this terminal shows no colours"
        raise MerError(f"{what}, so it cannot show a picture", "write it to a file with -o strip.png")
    if env.get("TMUX") or term.startswith(("screen", "tmux")):
        return BLOCKS
    if env.get("KITTY_WINDOW_ID") or term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return KITTY
    if program in ("iTerm.app", "WezTerm"):
        return ITERM2
    if "sixel" in term or term.startswith(("foot", "mlterm", "contour")) or program == "mintty":
        return SIXEL
    return BLOCKS


def size() -> tuple[int, int]:
    """Width of the terminal in characters, and in px; 0 px where it does not tell."""
    import fcntl
    import shutil
    import struct
    import sys
    import termios

    columns = shutil.get_terminal_size().columns
    try:
        answer = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return columns, 0
    return columns, struct.unpack("4H", answer)[2]


def shown(panels: Panels, how: str, columns: int, pixels: int = 0) -> str:
    """What to write to the terminal, line end included.

    Parameters
    ----------
    how : as `protocol` says.
    columns : width of the terminal in characters.
    pixels : and in px; 0 where it does not tell.
    """
    if how == BLOCKS:
        return "".join(line + "\n" for line in _block_lines(panels, columns))
    image = _within(panels.strip(), pixels or columns * CELL)
    if how == SIXEL:
        return sixel(image) + "\n"
    across = min(columns, max(1, round(columns * image.shape[1] / (pixels or columns * CELL))))
    return (kitty if how == KITTY else iterm2)(_png(image), across) + "\n"


def kitty(png: bytes, columns: int) -> str:
    """A PNG by Kitty's graphics protocol, in pieces, scaled to `columns` characters."""
    text = base64.b64encode(png).decode()
    pieces = [text[i : i + CHUNK] for i in range(0, len(text), CHUNK)]
    written = []
    for number, piece in enumerate(pieces):
        # q=2: the terminal answers nothing, which a shell would take for typed text.
        first = f"a=T,f=100,q=2,c={columns}," if number == 0 else ""
        written.append(f"\x1b_G{first}m={int(number < len(pieces) - 1)};{piece}\x1b\\")
    return "".join(written)


def iterm2(png: bytes, columns: int) -> str:
    """A PNG by iTerm2's inline images protocol, scaled to `columns` characters."""
    told = f"inline=1;size={len(png)};width={columns};preserveAspectRatio=1"
    return f"\x1b]1337;File={told}:{base64.b64encode(png).decode()}\x07"


def sixel(image: np.ndarray) -> str:
    """A (y, x, 3) uint8 picture as DEC sixels of at most 255 colours, one image px a sixel px."""
    from PIL import Image

    reduced = Image.fromarray(image).quantize(SIXEL_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)
    places = np.asarray(reduced)
    high, wide = places.shape
    out = [f'\x1bP0;1q"1;1;{wide};{high}']
    for colour in np.unique(places):
        red, green, blue = (round(int(v) * 100 / 255) for v in palette[colour])
        out.append(f"#{colour};2;{red};{green};{blue}")
    for top in range(0, high, 6):
        band = places[top : top + 6]
        rows = []
        for colour in np.unique(band):
            bits = ((band == colour) << np.arange(len(band))[:, None]).sum(axis=0)
            rows.append(f"#{colour}" + _runs(bits))
        out.append("$".join(rows) + "-")
    return "".join(out) + "\x1b\\"


def blocks(image: np.ndarray, columns: int) -> list[str]:
    """A picture as lines of ▀ in 24-bit colours: two px above each other a character, the same ratio of sides."""
    high = 2 * max(1, round(image.shape[0] * columns / image.shape[1] / 2))
    small = np.asarray(fitted(image, high, columns))
    lines = []
    for above, below in zip(small[::2], small[1::2], strict=True):
        line, before = "", None
        for pair in zip(map(tuple, above.tolist()), map(tuple, below.tolist()), strict=True):
            if pair != before:
                (r, g, b), (r2, g2, b2) = before = pair
                line += f"\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m"
            line += "▀"
        lines.append(line + "\x1b[0m")
    return lines


def _block_lines(panels: Panels, columns: int) -> Iterator[str]:
    """The captions as text: drawn in half blocks, letters would be unreadable."""
    for text in (panels.title, panels.note):
        yield from textwrap.wrap(text, columns)
    many = min(len(panels.pictures), panels.columns or len(panels.pictures), max(1, (columns + 1) // (NARROW + 1)))
    wide = min((columns + 1) // many - 1, 2 * NARROW)
    for first in range(0, len(panels.pictures), many):
        row = [blocks(picture, wide) for picture in panels.pictures[first : first + many]]
        captions = [textwrap.wrap(caption, wide) for caption in panels.captions[first : first + many]]
        deep, most = max(map(len, row)), max(map(len, captions))
        for number in range(deep):
            yield " ".join(lines[number] if number < len(lines) else " " * wide for lines in row)
        for number in range(most):
            yield " ".join((c[number] if number < len(c) else "").center(wide) for c in captions).rstrip()


def _runs(bits: np.ndarray) -> str:
    ends = np.flatnonzero(np.diff(bits)) + 1
    starts = np.concatenate([[0], ends])
    lengths = np.diff(np.concatenate([starts, [len(bits)]]))
    return "".join(
        f"!{length}{chr(63 + bits[start])}" if length > 3 else chr(63 + bits[start]) * int(length)
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True)
    )


def _within(image: np.ndarray, pixels: int) -> np.ndarray:
    if image.shape[1] <= pixels:
        return image
    return np.asarray(fitted(image, max(1, round(image.shape[0] * pixels / image.shape[1])), pixels))


def _png(image: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()
