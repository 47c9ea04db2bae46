"""From a page to HTML: one file, nothing outside it, every name escaped."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wellposed._version import __version__
from wellposed.report.model import Page


def render(page: Page) -> str:
    """Return the page as one HTML document.

    Text from files and arguments is escaped; only charts made by ``report.charts`` and the
    style sheet of this package are taken as they are.

    Examples
    --------
    >>> html = render(Page("Table", "<script>.csv", "", "Done.", "good"))
    >>> "<script>" in html, "&lt;script&gt;.csv" in html
    (False, True)
    """
    return _environment().get_template("page.html").render(page=page, version=__version__)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("wellposed.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["made_here"] = Markup
    return environment
