"""Where a database's annotation sheet and clip folders are, in whatever arrangement a copy has them."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mer_pipe.datasets.marks import NoFolder, Unusable
from mer_pipe.datasets.rows import Entry
from mer_pipe.datasets.sheets import suggest
from mer_pipe.datasets.tree import FrameFolder, frame_folder, loose, subfolders
from mer_pipe.types import DatasetError

T = TypeVar("T")
DEPTH = 6
"""How deep below the root clip folders are looked for."""


@dataclass(frozen=True)
class Layout:
    """What a database's folder is expected to hold.

    Attributes
    ----------
    title : the database as people call it.
    expected : the folders, as a message names them.
    sheet : the sheet's usual file name.
    trees : kind -> the folder names that tell it, compared without case and punctuation; the first kind found is used.
    inner : names of the folder inside a clip's folder that holds its frames; empty where the clip's own does.
    skip : names of folders that are never looked into (depth images beside colour).
    """

    title: str
    expected: str
    sheet: str
    trees: Mapping[str, Sequence[str]]
    inner: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def kind(self, name: str) -> str | None:
        """The kind of tree that a folder name tells, or None."""
        return next((kind for kind, names in self.trees.items() if _letters(name) in map(_letters, names)), None)


def check_root(root: str | os.PathLike[str]) -> Path:
    """The root as an absolute path; raises DatasetError unless it is a folder."""
    path = Path(root).absolute()
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise DatasetError(f"{path} {what}", "Give the folder that holds the database.")
    return path


def find_sheet(
    root: Path,
    sheet: str | os.PathLike[str] | None,
    read: Callable[[Path], T],
    layout: Layout,
    notes: list[str],
    passes: Callable[[str], bool] = lambda name: True,
) -> T:
    """The annotation sheet, read.

    Parameters
    ----------
    root : the database's folder; the sheet may be in it, up to two folders below it, or beside or above a root that is
        itself a tree.
    sheet : its path, absolute or below the root; None looks for the first file that `read` accepts.
    read : reads a file, or raises DatasetError where it is another sheet.
    notes : what was chosen among several is added.
    passes : whether a file of this name may be taken unasked.

    Raises
    ------
    DatasetError : there is no such sheet; the message names the nearest.
    """
    if sheet is not None:
        path = Path(sheet)
        return read(path if path.is_absolute() or path.exists() else root / path)
    found: list[tuple[Path, T]] = []
    failed: list[str] = []
    for path in _sheet_files(root, layout):
        if not passes(path.name):
            continue
        try:
            found.append((path, read(path)))
        except DatasetError as error:
            failed.append(error.message)
    if not found:
        near = f"the nearest: {failed[0]}" if failed else f"there is no .xlsx or .csv file, only {_shown(root)}"
        raise DatasetError(
            f"no {layout.title} sheet in {root}: {near}", f"Put {layout.sheet} there, or give its path with sheet=."
        )
    others = ", ".join(path.name for path, _ in found[1:4])
    also = f"; {others} would do too (choose with sheet=)" if others else ""
    notes.append(f"annotations from {found[0][0].name}{also}")
    return found[0][1]


@dataclass(frozen=True)
class Clips:
    """The folders of the wanted clips in one tree: key -> (folders between root and clip, path)."""

    tree: str
    found: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]]
    inner: tuple[str, ...]

    def folder(
        self,
        key: str,
        name: str,
        subject: Callable[[str], bool] | None,
        repairs: list[str],
        prefer: Callable[[str], bool] | None = None,
    ) -> FrameFolder:
        """The frames of a clip.

        Parameters
        ----------
        key : what `find_clips` was given for it.
        name : the clip as the sheet writes it, for messages.
        subject : whether a folder's name is the clip's subject; None where the clip's name is enough.
        repairs : a folder with another name than the sheet's is told here.
        prefer : settles which of several folders it is, by the names above them.

        Raises
        ------
        Unusable : there is no such folder, or several could be it.
        """
        folders = self.found.get(key, ())
        if subject is not None:
            folders = tuple(f for f in folders if any(map(subject, f[0])))
        if len(folders) > 1 and prefer is not None:
            folders = tuple(f for f in folders if any(map(prefer, f[0]))) or folders
        if len(folders) > 1:
            exact = tuple(f for f in folders if os.path.basename(f[1]) == name)
            folders = exact if len(exact) == 1 else folders
        if not folders:
            raise NoFolder(f"there is no folder {name}" + (" of this subject" if subject else ""), _COPY)
        if len(folders) > 1:
            several = ", ".join(f"{'/'.join(above[-1:])}/{os.path.basename(path)}" for above, path in folders[:3])
            raise Unusable(f"several folders could be {name}: {several}", "Keep one of them.")
        ((above, path),) = folders
        if os.path.basename(path) != name:
            repairs.append(f"frames of {name} found in folder {'/'.join((*above[-1:], os.path.basename(path)))}")
        try:
            if self.inner:
                inside = subfolders(path)
                chosen = next((n for want in self.inner for n in inside if n.lower() == want), None)
                path = os.path.join(path, chosen) if chosen else path
            return frame_folder(path)
        except DatasetError as error:
            raise Unusable(error.message, error.fix) from None


_COPY = "Copy the clip from the database."


def find_clips(
    root: Path,
    layout: Layout,
    tree: str | None,
    key_of: Callable[[str], str | None],
    wanted: Collection[str],
    notes: list[str],
) -> Clips:
    """Look for the wanted clips' folders below the root.

    Parameters
    ----------
    root : the database's folder or one of its trees.
    tree : the kind of tree to use; None takes the first kind of the layout that holds any wanted clip.
    key_of : a folder's name -> the key of the clip it could hold, or None.
    wanted : the keys of the annotated clips.
    notes : which tree was chosen is added.

    Raises
    ------
    DatasetError : unknown kind of tree, a tree that is not there, or no wanted clip anywhere.
    """
    if tree is not None and tree not in layout.trees:
        raise DatasetError(f"{layout.title} has no tree {tree!r}", suggest(str(tree), tuple(layout.trees)))
    kinds: dict[str, dict[str, list[tuple[tuple[str, ...], str]]]] = {}
    for key, above, path in _walk(root, layout, key_of, wanted):
        kind = next((k for n in reversed((root.name, *above)) if (k := layout.kind(n))), "")
        kinds.setdefault(kind, {}).setdefault(key, []).append((above, path))
    if not kinds:
        names = subfolders(str(root))
        known = [n for names in layout.trees.values() for n in names]
        near = [n for n in names if difflib.get_close_matches(_letters(n), map(_letters, known), 1, 0.75)]
        fix = f"The nearest is {near[0]}: does it hold the clips' folders?" if near else "Check the root."
        raise DatasetError(
            f"{root} was expected to hold {layout.expected}; of the {len(wanted)} annotated clips it holds none, "
            f"only {_shown(root)}",
            fix,
        )
    if tree is not None and tree not in kinds:
        known = ", ".join(k for k in kinds if k) or "one whose folder name says nothing"
        raise DatasetError(f"{root} holds no tree {tree}, only {known}", "Choose one of these with tree=.")
    chosen = tree or next((kind for kind in layout.trees if kind in kinds), "")
    others = [kind for kind in layout.trees if kind in kinds and kind != chosen]
    also = f"; {' and '.join(others)} is there too (choose with tree=)" if others else ""
    notes.append(f"frames from tree {chosen}{also}" if chosen else "the folder names say nothing of the kind of frames")
    return Clips(chosen, {k: tuple(v) for k, v in kinds[chosen].items()}, layout.inner)


def _walk(root: Path, layout: Layout, key_of: Callable[[str], str | None], wanted: Collection[str]):
    """(key, names of the folders between, path) of every folder that could be a wanted clip; not looked into."""
    pending: list[tuple[tuple[str, ...], str]] = [((), str(root))]
    while pending:
        above, folder = pending.pop()
        for name in subfolders(folder):
            path = os.path.join(folder, name)
            key = key_of(name)
            if key and key in wanted:
                yield key, above, path
            elif len(above) + 1 < DEPTH and _letters(name) not in layout.skip:
                pending.append(((*above, name), path))


def _sheet_files(root: Path, layout: Layout) -> list[Path]:
    """Sheets in the root, then beside and above a root that is a tree, then up to two folders below."""
    places = [root]
    above = root
    while len(places) < 3 and layout.kind(above.name):
        above = above.parent
        places.append(above)
    below = [root / name for name in subfolders(str(root)) if not layout.kind(name)]
    below += [folder / name for folder in below for name in _names(folder)[:40]]
    found: list[Path] = []
    for place in (*places, *below):
        try:
            found += sorted(
                p
                for p in place.iterdir()
                if p.suffix.lower() in (".xlsx", ".csv") and not p.name.startswith(("~", "."))
            )
        except OSError:
            continue
    return found


def _names(folder: Path) -> list[str]:
    try:
        return subfolders(str(folder))
    except DatasetError:
        return []


def _shown(root: Path) -> str:
    names = subfolders(str(root))
    return ", ".join(names[:6]) + (" ..." if len(names) > 6 else "") if names else "no folder at all"


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def shared_names(entries: Sequence[Entry]) -> set[str]:
    """Keys of the clip names that several subjects have: for these a folder must lie below its subject's."""
    subjects: dict[str, set[str]] = {}
    for entry in entries:
        subjects.setdefault(loose(entry.cells["clip"]), set()).add(entry.subject)
    return {key for key, of in subjects.items() if len(of) > 1}


def same(name: str) -> Callable[[str], bool]:
    """Whether a folder's name is this one, without case, separators and padding."""
    wanted = loose(name)
    return lambda folder: loose(folder) == wanted
