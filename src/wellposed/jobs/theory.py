"""The measurements of ``wellposed theory``, kept in a folder: figures and a page.

folder/
  theory.json       every figure
  theory.html       tables and charts
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wellposed.checks import whole
from wellposed.files import file_error
from wellposed.jobs.inputs import fresh_folder
from wellposed.jobs.summary import write_text
from wellposed.theory.study import Study, Watch, study

if TYPE_CHECKING:
    from wellposed.report.model import Page

FIGURES, PAGE = "theory.json", "theory.html"


class Kept(NamedTuple):
    """A study, its page, and where both are."""

    study: Study
    page: Page
    folder: Path


def theory(seed: int = 0, out: str | Path | None = None, watch: Watch | None = None) -> Kept:
    """Measure, and write the figures and the page.

    Parameters
    ----------
    seed
        Of the mixture, >= 0.
    out
        The folder; made when missing. None makes the next numbered one under ``runs/``.
    watch
        Called with the name of each part before it begins.

    Raises
    ------
    FileError
        The folder cannot be made or written.
    """
    whole(seed, "seed", 0)
    folder = fresh_folder("theory") if out is None else _made(Path(out))
    found = study(seed, watch)
    return Kept(found, write(found, folder), folder)


def write(found: Study, folder: Path) -> Page:
    """Write theory.json and theory.html; return the page."""
    from wellposed.report.render import render  # pictures need matplotlib, which is slow to load
    from wellposed.report.theory import theory_page

    page = theory_page(found)
    text = json.dumps(plain(found), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / FIGURES, text + "\n")
    write_text(folder / PAGE, render(page))
    return page


def plain(value: Any) -> Any:
    """Turn figures into what JSON can hold; infinity and functions become null.

    Examples
    --------
    >>> from wellposed.theory.distances import Distances
    >>> plain(Distances(0.1, math.inf, 0.2, 0.0))
    {'tv': 0.1, 'kl': None, 'w2': 0.2, 'mass': 0.0}
    """
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (int, str)) else None


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(folder, "made", error) from error
    return folder
