"""The folders of the annotated clips, found by name wherever a copy has them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mer_pipe.datasets.marks import NoFolder, Unusable
from mer_pipe.datasets.places import Layout, letters, shown
from mer_pipe.datasets.rows import Entry, subject_number
from mer_pipe.datasets.sheets import suggest
from mer_pipe.datasets.tree import FrameFolder, frame_folder, loose, subfolders
from mer_pipe.types import DatasetError

DEPTH = 6
"""How deep below the root clip folders are looked for."""
_COPY = "Copy the clip from the database."


@dataclass(frozen=True)
class Folder:
    """A folder that could be a clip's: the names between root and it, the subjects these tell, and its path."""

    above: tuple[str, ...]
    subjects: frozenset[str | int]
    path: str

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


@dataclass
class Clips:
    """The folders of the wanted clips in one tree, by key, and by key and subject."""

    tree: str
    found: Mapping[str, Sequence[Folder]]
    of_subject: Mapping[tuple[str, str | int], Sequence[Folder]]
    inner: tuple[str, ...]
    _last: FrameFolder | None = field(default=None, repr=False)

    def folder(
        self,
        key: str,
        name: str,
        subject: str | int | None,
        repairs: list[str],
        *,
        prefer_subject: str | int | None = None,
        prefer: Callable[[str], bool] | None = None,
    ) -> FrameFolder:
        """The frames of a clip.

        Parameters
        ----------
        key : what `find_clips` was given for it.
        name : the clip as the sheet writes it, for messages.
        subject : the clip's subject, as `subject_of` of `find_clips` tells it, which a folder above must be; None where
            the clip's name is enough.
        repairs : a folder with another name than the sheet's is told here.
        prefer_subject, prefer : settle which of several folders it is, by the subject or by any name above them.

        Raises
        ------
        Unusable : there is no such folder, or several could be it.
        """
        folders = self.found.get(key, ()) if subject is None else self.of_subject.get((key, subject), ())
        if len(folders) > 1 and prefer_subject is not None:
            folders = [f for f in folders if prefer_subject in f.subjects] or folders
        if len(folders) > 1 and prefer is not None:
            folders = [f for f in folders if any(map(prefer, f.above))] or folders
        if len(folders) > 1:
            exact = [f for f in folders if f.name == name]
            folders = exact if len(exact) == 1 else folders
        if not folders:
            raise NoFolder(f"there is no folder {name}" + (" of this subject" if subject is not None else ""), _COPY)
        if len(folders) > 1:
            several = ", ".join("/".join((*f.above[-1:], f.name)) for f in folders[:3])
            raise Unusable(f"several folders could be {name}: {several}", "Keep one of them.")
        (found,) = folders
        if found.name != name:
            repairs.append(f"frames of {name} found in folder {'/'.join((*found.above[-1:], found.name))}")
        return self._read(found.path)

    def _read(self, path: str) -> FrameFolder:
        try:
            if self.inner:
                inside = subfolders(path)
                chosen = next((n for want in self.inner for n in inside if n.lower() == want), None)
                path = os.path.join(path, chosen) if chosen else path
            # Rows of one video follow each other, and a video has thousands of frames.
            if self._last is None or self._last.path != path:
                self._last = frame_folder(path)
            return self._last
        except DatasetError as error:
            raise Unusable(error.message, error.fix) from None


def find_clips(
    root: Path,
    layout: Layout,
    tree: str | None,
    key_of: Callable[[str], str | None],
    wanted: Collection[str],
    notes: list[str],
    subject_of: Callable[[str], str | int | None] = subject_number,
    what: str = "clips",
) -> Clips:
    """Look for the wanted clips' folders below the root.

    Parameters
    ----------
    root : the database's folder or one of its trees.
    tree : the kind of tree to use; None takes the first kind of the layout that holds any wanted clip.
    key_of : a folder's name -> the key of the clip it could hold, or None.
    wanted : the keys of the annotated clips.
    notes : which tree was chosen is added.
    subject_of : a folder's name -> the subject it tells, or None.
    what : what the keys name, for messages.

    Raises
    ------
    DatasetError : unknown kind of tree, a tree that is not there, or no wanted clip anywhere.
    """
    if tree is not None and tree not in layout.trees:
        raise DatasetError(f"{layout.title} has no tree {tree!r}", suggest(str(tree), tuple(layout.trees)))
    kinds: dict[str, dict[str, list[Folder]]] = {}
    told = lru_cache(maxsize=None)(subject_of)
    for key, above, path in _walk(root, layout, key_of, wanted):
        kind = next((k for n in reversed((root.name, *above)) if (k := layout.kind(n))), "")
        subjects = frozenset(s for name in above if (s := told(name)) is not None)
        kinds.setdefault(kind, {}).setdefault(key, []).append(Folder(above, subjects, path))
    if not kinds:
        names = subfolders(str(root))
        known = [n for names in layout.trees.values() for n in names]
        near = [n for n in names if difflib.get_close_matches(letters(n), map(letters, known), 1, 0.75)]
        fix = f"The nearest is {near[0]}: does it hold the clips' folders?" if near else "Check the root."
        raise DatasetError(
            f"{root} was expected to hold {layout.expected}; of the {len(wanted)} annotated {what} it holds none, "
            f"only {shown(root)}",
            fix,
        )
    if tree is not None and tree not in kinds:
        known = ", ".join(k for k in kinds if k) or "one whose folder name says nothing"
        raise DatasetError(f"{root} holds no tree {tree}, only {known}", "Choose one of these with tree=.")
    chosen = tree or next((kind for kind in layout.trees if kind in kinds), "")
    others = [kind for kind in layout.trees if kind in kinds and kind != chosen]
    also = f"; {' and '.join(others)} is there too (choose with tree=)" if others else ""
    notes.append(f"frames from tree {chosen}{also}" if chosen else "the folder names say nothing of the kind of frames")
    found = {key: sorted(folders, key=lambda f: f.path) for key, folders in kinds[chosen].items()}
    of_subject: dict[tuple[str, str | int], list[Folder]] = {}
    for key, folders in found.items():
        for folder in folders:
            for subject in folder.subjects:
                of_subject.setdefault((key, subject), []).append(folder)
    return Clips(chosen, found, of_subject, layout.inner)


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
            elif len(above) + 1 < DEPTH and letters(name) not in layout.skip:
                pending.append(((*above, name), path))


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
