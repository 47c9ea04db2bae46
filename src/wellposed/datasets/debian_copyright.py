"""Who owns which file of a Debian package, and under which licence.

Model    a machine-readable copyright file is a list of paragraphs; one with the field Files
         gives copyright and licence of the files that its patterns match, and of several that
         match a file the last one holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

FREE = re.compile(r"public-domain|CC0(-1\.0)?|CC-BY(-SA)?-[1-4]\.[05]")


class Notice(NamedTuple):
    """What a copyright file says of a file."""

    licence: str
    holder: str

    @property
    def free(self) -> bool:
        """Whether anyone may share and adapt it, at most with credit and under the same terms."""
        return FREE.fullmatch(self.licence) is not None


class Owned(NamedTuple):
    """A paragraph: patterns of files, and what holds for them."""

    patterns: tuple[str, ...]
    notice: Notice


def paragraphs(text: str) -> list[Owned]:
    """Return the paragraphs that speak of files.

    Examples
    --------
    >>> paragraphs('''Files: a/*.jpg
    ...  b.png
    ... Copyright: 2018, Ann
    ... License: CC0-1.0
    ...  Do as you like.
    ... ''')
    [Owned(patterns=('a/*.jpg', 'b.png'), notice=Notice(licence='CC0-1.0', holder='2018, Ann'))]
    """
    found = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields = dict(re.findall(r"^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", paragraph, re.MULTILINE))
        if "Files" in fields:
            licence = (fields.get("License", "").strip().splitlines() or [""])[0]
            holder = " ".join(fields.get("Copyright", "").split())
            found.append(Owned(tuple(fields["Files"].split()), Notice(licence.strip(), holder)))
    return found


def notice_of(name: str, known: Iterable[Owned], *, any_suffix: bool = False) -> Notice | None:
    """Return what holds for a file.

    Parameters
    ----------
    name
        Its path, as the patterns write it.
    known
        From ``paragraphs``.
    any_suffix
        Compare names without their suffixes, of pictures that were converted since.

    Examples
    --------
    >>> known = paragraphs("Files: *\\nLicense: GPL-3+\\n\\nFiles: a.jpg\\nLicense: CC0-1.0")
    >>> notice_of("a.webp", known).licence, notice_of("a.webp", known, any_suffix=True).licence
    ('GPL-3+', 'CC0-1.0')
    """
    shown = _bare(name) if any_suffix else name
    last = None
    for owned in known:
        patterns = map(_bare, owned.patterns) if any_suffix else owned.patterns
        if any(fnmatchcase(shown, pattern) for pattern in patterns):
            last = owned.notice
    return last


def _bare(name: str) -> str:
    return re.sub(r"\.(jpe?g|png|webp)$", "", name)
