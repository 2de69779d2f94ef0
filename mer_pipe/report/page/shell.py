"""What every page has round it: head, bar, keys, style and scripts."""

from __future__ import annotations

import base64
import hashlib

from mer_pipe.report import pictures
from mer_pipe.report.page.html import Markup, h, joined, static
from mer_pipe.report.page.media import compressed, data_uri

GENERATOR = "mer-pipe report"
SCRIPTS = ("report.js", "clip.js", "sheet.js")
SECTIONS = {"missing": "missing", "contact": "contact sheet", "distributions": "distributions", "methods": "methods"}
KEYS = (
    ("/", "find a clip"), ("j k", "next and previous card, or clip"),
    ("enter", "open the card"), ("u", "back to the contact sheet"),
    ("f", "flip onset and apex"), ("space", "play and stop the magnified apex"), ("← →", "one AF less, one more"),
    ("d", "difference to the apex"), ("t", "light or dark"), ("?", "this list"),
)  # fmt: skip


def key_list() -> Markup:
    """The keys that pages listen to, in a box that opens with one of them."""
    rows = [h("div", h("dt", joined(h("kbd", k) for k in keys.split())), h("dd", what)) for keys, what in KEYS]
    close = h("form", h("button", "close"), method="dialog")
    return h("dialog", h("h2", "Keys"), h("dl", rows, class_="facts"), close, id="keys")


def document(title: str, body: Markup, after: Markup | None = None, single: bool = False, up: str = "") -> str:
    """A whole page.

    Parameters
    ----------
    body : below the bar.
    after : at the end, before the scripts.
    single : styles and scripts inside, allowed by their digests; else beside it.
    up : path to the report's folder.
    """
    style, scripts = style_sheet(), [static(name) for name in SCRIPTS]
    if single:
        allowed = " ".join(f"'sha256-{_digest(text)}'" for text in scripts)
        head = Markup(f"<style>{style}</style>")
        foot = Markup("".join(f"<script>{text}</script>" for text in scripts))
    else:
        # 'self' does not match a file's own folder in every browser; file: does.
        allowed = "'self' file:"
        head = h("link", rel="stylesheet", href=f"{up}assets/report.css")
        foot = joined(h("script", src=f"{up}assets/{name}") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; img-src 'self' file: data:; style-src 'self' file: 'unsafe-inline'; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
    home = "" if single else f"{up}index.html"
    bar = h(
        "nav",
        h("a", "mer-pipe", href=f"{home}#top", class_="home"),
        h("span", [h("a", name, href=f"{home}#{to}") for to, name in SECTIONS.items()]),
        h("button", "?", type="button", data_keys=True, aria_label="keys", title="keys"),
        h("button", "◐", type="button", data_theme_switch=True, aria_label="light or dark", title="light or dark"),
        class_="bar",
    )
    page = [
        h("meta", charset="utf-8"),
        h("meta", http_equiv="Content-Security-Policy", content=policy),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="generator", content=GENERATOR),
        h("meta", name="referrer", content="no-referrer"),
        h("link", rel="icon", href="data:,"),
        h("title", title),
        head,
    ]
    shell = h("html", h("head", page), h("body", bar, body, after, foot), lang="en")
    return f"<!doctype html>\n{shell}\n"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def style_sheet() -> str:
    """The style sheet, with the colours of the flow wheel and the heat bar in it."""
    wheel = data_uri(compressed(pictures.flow_key(192), 90))
    stops = ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in pictures.HEAT.tolist())
    return f":root {{ --wheel: url({wheel}); --heat: linear-gradient(to top, {stops}) }}\n{static('report.css')}"
