"""The docs say what is so: generated pages are current, links lead somewhere, commands exist, code runs."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from mer_pipe import api
from mer_pipe.cli import cli
from mer_pipe.recipes import BUILT_IN, read_recipe, with_values

HOUSE = Path(__file__).resolve().parents[1]
PAGES = sorted([*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def names(path: Path) -> str:
    return path.relative_to(HOUSE).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


def prose(page: Path) -> str:
    """A page without its code, where brackets mean other things."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M))


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("make_reference", HOUSE / "docs/make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_gives(reference, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    old = reference.old_pages()
    assert not old, f"docs/reference: {', '.join(old)} differ from the code; update with:  {reference.COMMAND}"


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_relative_link_leads_somewhere(page):
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{names(page)} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{names(page)} links to {link}"


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_every_page_of_the_docs_is_reached_from_the_index():
    found, todo = set(), [HOUSE / "docs/index.md"]
    while todo:
        page = todo.pop()
        if page in found or page.suffix != ".md" or not page.exists():
            continue
        found.add(page)
        todo += [
            (page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(page)) if ":" not in link
        ]
    lost = [names(page) for page in PAGES if page not in found]
    assert not lost, f"no link leads to {lost}"


def commands() -> list[tuple[str, str]]:
    """(page, command line) for every `mer-pipe ...` line of a shell block."""
    found = []
    for page in PAGES:
        for block in blocks(page, "sh"):
            lines = block.replace("\\\n", " ").splitlines()
            parts = [part.strip() for line in lines for part in line.partition(" #")[0].split("&&")]
            found += [(names(page), part) for part in parts if re.match(r"(\S*/)?mer-pipe( |$)", part)]
    return found


def test_there_are_commands_to_check():
    assert len(commands()) > 25


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_in_the_docs_is_one_that_exists(page, line):
    words = shlex.split(line)[1:]
    command: click.Command = cli
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert command is not cli, f"{page}: {line}: no such verb"
    context = click.Context(command)
    command.parse_args(context, list(words))  # raises for an option that does not exist
    # A group that is called with a verb of its own has taken it above: what is left must be arguments it has.
    assert not context.args, f"{page}: {line}: {context.args} are not taken"
    given = context.params.get("values") or ()
    if "recipe" in context.params:
        named = context.params["recipe"] or "default"
        base = read_recipe(named) if named in BUILT_IN else BUILT_IN["default"]
        with_values(base, dict(pair.split("=", 1) for pair in given))  # raises for a name that does not exist


def test_every_recipe_value_that_the_docs_name_exists():
    sections = "align|crop|magnify|aman|mrn|ruan|msmmt|evm|flow|strain|dynamic|features"
    checked = 0
    for page in PAGES:
        if page.parent.name == "reference":
            continue
        for span in re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)):
            for name, value in re.findall(rf"(?:^|\s)((?:{sections})(?:\.[a-z_]+)+)=(\S+)", span):
                if value.isupper():  # FILE
                    value = "random:0"
                engine = {"flow.engine": "opencv"} if name == "flow.scale_step" else {}
                with_values(BUILT_IN["default"], {**engine, name: value})
                checked += 1
    assert checked > 15


def test_every_test_that_the_docs_name_exists():
    named = {
        (file, test) for page in PAGES for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text())
    }
    assert len(named) > 15
    for file, test in named:
        functions = {node.name for node in ast.walk(ast.parse((HOUSE / file).read_text())) if hasattr(node, "name")}
        assert test in functions, f"{file} has no {test}"


def run_page(page: Path, folder: Path) -> None:
    """Run the Python blocks of a page, one after the other, in a process of their own."""
    code = "\n".join(blocks(page, "python"))
    assert code
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_stage_of_the_readers_own_builds(tmp_path):
    run_page(HOUSE / "docs/how-to/add-a-stage.md", tmp_path)


def test_the_recipe_page_runs(tmp_path):
    run_page(HOUSE / "docs/how-to/another-recipe.md", tmp_path)


@pytest.fixture(scope="module")
def zeros(reference, tmp_path_factory) -> Path:
    """A folder with `demo.zarr`, the demo's first clips with arrays of zeros: the real one takes a minute to build."""
    folder = tmp_path_factory.mktemp("zeros")
    few = {"subjects": 2, "clips": 6, "frames": (12, 13), "size": (120, 160)}
    request = api.make_request(
        "demo",
        folder / "data",
        store=folder / "demo.zarr",
        cache=folder / "cache",
        values={f"dataset.{name}": value for name, value in few.items()},
        limit=8,
    )
    reference.publish_zeros(request)
    return folder


def test_the_tutorial_runs(zeros):
    run_page(HOUSE / "docs/tutorial.md", zeros)


def test_a_head_of_ones_own_trains(zeros):
    run_page(HOUSE / "docs/how-to/your-own-head.md", zeros)
    assert (zeros / "small-cnn/README.md").read_text().startswith("# Small CNN on u, v, strain on demo")
    assert len(list((zeros / "small-cnn/seed-0").glob("*.json"))) == 2


def test_the_first_block_of_that_page_is_forty_lines():
    code = blocks(HOUSE / "docs/how-to/your-own-head.md", "python")[0]
    own = code.partition("@dataclass")[2]
    assert len([line for line in own.splitlines() if line.strip()]) <= 40
