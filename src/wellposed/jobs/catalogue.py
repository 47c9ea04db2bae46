"""Every method that is installed, found by walking the packages: no list to keep up to date."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import pkgutil
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

from wellposed.errors import InputError

FAMILIES = {
    "lowrank": "Low-rank recovery",
    "bilinear": "Gains and signals at once, solved directly: from Python",
    "samplers": "Sampling from diffusion priors",
    "posterior": "Posterior sampling with diffusion priors",
}


_PURPOSES = {  # and where a method is used
    "lowrank": ("recovery by a low-rank prior", "wellposed complete, or wellposed separate"),
    "bilinear": ("gains and signals at once", "use it from Python: wp.SelfCalibration"),
    "samplers": ("draws without a measurement", "wellposed sample"),
    "posterior": ("draws given a measurement", "wellposed recover"),
}


class Entry(NamedTuple):
    """A method, as the command line shows it."""

    name: str
    summary: str  # first line of its file
    needs: str
    reference: str
    cls: type[Any]


def families() -> list[str]:
    """Return the families of methods that this version has.

    Examples
    --------
    >>> families()[0]
    'lowrank'
    """
    return [family for family in FAMILIES if find_spec(f"wellposed.{family}")]


@cache
def methods(family: str = "lowrank") -> tuple[Entry, ...]:
    """Return all methods of a family, by name.

    Examples
    --------
    >>> [m.needs for m in methods() if m.name == "ScaledGD"]
    ['linear operator on matrices']
    """
    found = {}
    package = importlib.import_module(f"wellposed.{family}")
    for item in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(item.name)
        classes: list[tuple[str, Any]] = inspect.getmembers(module, inspect.isclass)
        for name, cls in classes:
            if cls.__module__ == module.__name__ and _is_method(cls):
                summary = (module.__doc__ or "").strip().split("\n")[0]
                found[name] = Entry(name, summary, cls.needs, cls.reference, cls)
    return tuple(found[name] for name in sorted(found))


def method_named(name: str, family: str = "lowrank", **fields: Any) -> Any:
    """Return the method of this name.

    Parameters
    ----------
    name
        As ``wellposed methods`` prints it; case, hyphens and underscores do not matter.
    family
        Where to look.
    fields
        Settings other than the defaults; None leaves the default.

    Raises
    ------
    InputError
        There is no such method, it has no such setting, or cannot be used without others.

    Examples
    --------
    >>> method_named("scaled-gd")
    ScaledGD(step_size=0.5, projection=None)
    >>> method_named("dpm-solver-pp2m", "samplers", steps=10)
    DPMSolverPP2M(steps=10)
    """
    known = {_plain(entry.name): entry for entry in methods(family)}
    entry = known.get(_plain(name))
    if entry is None:
        elsewhere = _elsewhere(name, family)
        if elsewhere is not None:
            raise InputError(*elsewhere)
        close = difflib.get_close_matches(_plain(name), known, n=1, cutoff=0.4)
        hint = f"did you mean {known[close[0]].name}? " if close else ""
        raise InputError(
            f"there is no method {name!r}",
            "methods are " + ", ".join(e.name for e in known.values()),
            f"{hint}wellposed methods tells what each of them needs",
        )
    given = {field: value for field, value in fields.items() if value is not None}
    strange = given.keys() - {f.name for f in dataclasses.fields(entry.cls)}
    if strange:
        raise InputError(
            f"{entry.name} has no {', '.join(sorted(strange))}",
            f"its settings are {', '.join(f.name for f in dataclasses.fields(entry.cls))}",
            "leave it out, or choose another method",
        )
    try:
        return entry.cls(**given)
    except TypeError:
        raise InputError(
            f"{entry.name} cannot be used without settings",
            f"it has no default for {', '.join(_required(entry.cls))}",
            "use it from Python, or choose another method",
        ) from None


def _elsewhere(name: str, family: str) -> tuple[str, str, str] | None:
    """Say what to do with the name of another family's method."""
    for other, (purpose, remedy) in _PURPOSES.items():
        for entry in methods(other) if other != family else ():
            if _plain(entry.name) == _plain(name):
                what = f"{entry.name} is no method of this command"
                return what, f"it is for {purpose}", remedy
    return None


def _is_method(cls: type[Any]) -> bool:
    told = all(isinstance(getattr(cls, name, None), str) for name in ("needs", "reference"))
    return told and dataclasses.is_dataclass(cls)


def _required(cls: type[Any]) -> list[str]:
    missing = dataclasses.MISSING
    return [
        f.name
        for f in dataclasses.fields(cls)
        if f.init and f.default is missing and f.default_factory is missing
    ]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
