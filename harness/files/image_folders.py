"""Search for image files in a folder and below, with a record of what was left out."""

from __future__ import annotations

import os
import stat
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness.files.image_content import FORMATS, format_of
from harness.files.images import SUFFIXES, ImageError

Parts = tuple[str, ...]
"""A path below the folder that is searched."""

_EXAMPLES = 3
_KINDS = {
    "hidden": ("hidden file", "hidden files"),
    "hidden folder": ("hidden folder", "hidden folders"),
    "empty": ("folder without images", "folders without images"),
    "repeated": (
        "link to a folder that was already read",
        "links to folders that were already read",
    ),
    "above": ("link to a folder above", "links to folders above"),
    "special": ("pipe, socket or device", "pipes, sockets or devices"),
    "locked": ("file that cannot be read", "files that cannot be read"),
    "other": ("file that is not an image", "files that are not images"),
}


class ImagePaths(NamedTuple):
    """The image files of a folder.

    Attributes:
        paths: sorted.
        remarks: one sentence each on what was left out, and on what may be unintended.
    """

    paths: tuple[Path, ...]
    remarks: tuple[str, ...]


def find_images(name: str, root: Path) -> ImagePaths:
    """Find the images in a folder and below, and in the folders that are linked there.

    A file is an image by its suffix, or else by its content. Hidden files and folders are left out,
    and so is what was already found: each folder is read once, however many links lead to it.

    Args:
        name: what error messages begin with.
        root: the folder.

    Raises:
        ImageError: there is no image, or something that may hold some cannot be read.
    """
    search = _Search(name, root)
    search.run()
    paths = tuple(root.joinpath(*parts) for parts in sorted(search.found))
    left_out = search.left_out_in_words()
    if not paths:
        raise ImageError(
            f"{name}: no image in {root}; looked for {', '.join(SUFFIXES)}, and at the content of "
            f"other files{f'; left out: {left_out}' if left_out else ''}"
        )
    remarks = [f"{name}: left out: {left_out}"] if left_out else []
    return ImagePaths(paths, (*remarks, *_doubts(name, search.found, search.by_content)))


class _Search:
    """A walk through a folder, real folders before linked ones."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.found: list[Parts] = []
        self.by_content: list[Parts] = []
        self._left_out: defaultdict[str, list[Parts]] = defaultdict(list)
        self._folders: deque[Parts] = deque([()])
        self._links: deque[Parts] = deque()
        self._read: dict[tuple[int, int], Parts] = {}
        self._above = set(_identities_above(root))

    def run(self) -> None:
        """Look at everything."""
        seen: list[Parts] = []
        while self._folders or self._links:
            linked = not self._folders
            folder = self._links.popleft() if linked else self._folders.popleft()
            if self._is_new(folder):
                seen.append(folder)
                self._look_into(folder)
        self._note_empty(seen)

    def left_out_in_words(self) -> str:
        """Describe how many of each kind were left out, with examples; "" if nothing was."""
        counts = []
        for kind, paths in sorted(self._left_out.items()):
            one, many = _KINDS.get(kind, (f"{kind} file", f"{kind} files"))
            counts.append(f"{len(paths)} {one if len(paths) == 1 else many} ({_examples(paths)})")
        return "; ".join(counts)

    def _is_new(self, folder: Parts) -> bool:
        try:
            identity = _identity(os.stat(self._place(folder)))
        except OSError as error:
            raise self._unreadable(folder, error) from error
        if identity in self._read or identity in self._above:
            self._left_out["repeated" if identity in self._read else "above"].append(folder)
            return False
        self._read[identity] = folder
        return True

    def _look_into(self, folder: Parts) -> None:
        try:
            with os.scandir(self._place(folder)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            raise self._unreadable(folder, error) from error
        for entry in entries:
            parts = (*folder, entry.name)
            try:
                self._sort_in(entry, parts)
            except OSError as error:
                raise self._unreadable(parts, error) from error

    def _sort_in(self, entry: os.DirEntry[str], parts: Parts) -> None:
        """Queue a folder, and take a file or leave it out."""
        has_suffix = entry.name.lower().endswith(SUFFIXES)
        if entry.name.startswith("."):
            if has_suffix or entry.is_dir(follow_symlinks=False):
                self._left_out["hidden" if has_suffix else "hidden folder"].append(parts)
        elif entry.is_symlink() and stat.S_ISDIR(os.stat(entry.path).st_mode):
            self._links.append(parts)
        elif entry.is_dir() and not has_suffix:
            self._folders.append(parts)
        elif not entry.is_file() and not has_suffix:
            self._left_out["special"].append(parts)
        elif not entry.is_file():
            raise ImageError(
                f"{self.name}: {self._place(parts)} cannot be read, it is not a regular file; "
                "remove it"
            )
        elif has_suffix:
            self.found.append(parts)
        else:
            self._look_at_content(parts)

    def _look_at_content(self, parts: Parts) -> None:
        try:
            content = format_of(self._place(parts))
        except OSError:
            self._left_out["locked"].append(parts)
            return
        if content in FORMATS:
            self.found.append(parts)
            self.by_content.append(parts)
        else:
            self._left_out[content or "other"].append(parts)

    def _note_empty(self, folders: Sequence[Parts]) -> None:
        """Record the folders without images, except those below another one."""
        filled = {parts[:depth] for parts in self.found for depth in range(len(parts))}
        self._left_out["empty"] = [
            folder for folder in folders if folder not in filled and folder[:-1] in filled
        ]
        if not self._left_out["empty"]:
            del self._left_out["empty"]

    def _place(self, parts: Parts) -> Path:
        return self.root.joinpath(*parts)

    def _unreadable(self, parts: Parts, error: OSError) -> ImageError:
        place = self._place(parts)
        link = f", by the link to {os.readlink(place)}" if place.is_symlink() else ""
        return ImageError(
            f"{self.name}: {place} cannot be read{link}: {error.strerror}; make it readable or "
            "remove it"
        )


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _identities_above(root: Path) -> Iterator[tuple[int, int]]:
    for folder in root.resolve().parents:
        with suppress(OSError):
            yield _identity(os.stat(folder))


def _examples(paths: Sequence[Parts]) -> str:
    shown = [os.sep.join(parts) for parts in sorted(paths)[:_EXAMPLES]]
    return ", ".join(shown) + (", ..." if len(paths) > _EXAMPLES else "")


def _doubts(name: str, found: Sequence[Parts], by_content: Sequence[Parts]) -> list[str]:
    """Return one sentence on each thing that was read perhaps unintentionally."""
    doubts = []
    if by_content:
        doubts.append(
            f"{name}: {len(by_content)} of {len(found)} images are recognised by their content, "
            f"not by their suffix ({_examples(by_content)})"
        )
    if twins := _twins(found):
        doubts.append(
            f"{name}: {len(twins)} of {len(found)} images have the name of another in another "
            f"format ({', '.join(os.sep.join(parts) for parts in twins[0])}); all were read: "
            "remove duplicates"
        )
    return doubts


def _twins(found: Sequence[Parts]) -> list[tuple[Parts, Parts]]:
    """Return pairs of files of one folder that differ only in their suffix."""
    if len({os.path.splitext(parts[-1])[1] for parts in found}) < 2:
        return []
    first: dict[Parts, Parts] = {}
    stems = (((*parts[:-1], os.path.splitext(parts[-1])[0]), parts) for parts in sorted(found))
    return [(first[stem], parts) for stem, parts in stems if first.setdefault(stem, parts) != parts]
