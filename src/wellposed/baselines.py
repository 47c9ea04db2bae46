"""What missing cells are worth without a model, and what is said where a model does no better.

Predictions   the mean of all cells; of each slice; of each line along a mode, that is over the
              positions of one mode (where a line has no cell, the mean of all); the mean and an
              offset for each slice, by backfitting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from wellposed.gaps import Cells, positions, unseen
from wellposed.operators.tensor_entries import raveled
from wellposed.problem import Problem

SWEEPS = 5  # of fitting the offsets of each mode
SHOWN = 10  # positions named in a sentence

Cut = tuple[Problem, Problem]  # what is fitted, and the cells that judge


def offsets(fit: Problem, cells: Tensor) -> Tensor:
    """Predict cells by the mean and an offset for each position of each mode.

    Parameters
    ----------
    fit
        Observed cells.
    cells
        Positions to predict, [t, N].
    """
    indices, y = positions(fit.operator), fit.y  # type: ignore[arg-type]
    shape = fit.operator.shape_in
    mean = y.mean()
    found = [y.new_zeros(n) for n in shape]
    rest = y - mean
    for _ in range(SWEEPS):
        for k, n in enumerate(shape):
            at = indices[:, k]
            count = torch.bincount(at, minlength=n).clamp_min(1)
            change = torch.bincount(at, rest, n).to(y) / count
            found[k] += change
            rest = rest - change[at]
    return mean + torch.stack([f[cells[:, k]] for k, f in enumerate(found)]).sum(0)


def means(fit: Problem, cells: Tensor, modes: Sequence[int]) -> Tensor:
    """Predict cells by the mean of all that share their positions in some modes.

    Parameters
    ----------
    fit
        Observed cells.
    cells
        Positions to predict, [t, N].
    modes
        Which positions are shared; none: the mean of all.
    """
    mean = fit.y.mean()
    if not modes:
        return mean.expand(len(cells))
    sides = [fit.operator.shape_in[k] for k in modes]
    keys = raveled(positions(fit.operator)[:, list(modes)], sides)  # type: ignore[arg-type]
    known, place = keys.unique(return_inverse=True)  # type: ignore[no-untyped-call]
    found = torch.bincount(place, fit.y).to(fit.y) / torch.bincount(place)
    asked = raveled(cells[:, list(modes)], sides)
    at = torch.searchsorted(known, asked).clamp_max(len(known) - 1)
    return torch.where(known[at] == asked, found[at], mean)


def without_model(fit: Problem, cells: Tensor) -> dict[str, Tensor]:
    """Predict cells, [t, N], in every way that needs no model; by name."""
    order = len(fit.operator.shape_in)
    found = {"the mean": means(fit, cells, ())}
    for k in range(order):
        found[f"the mean of each {_slice(k, order)}"] = means(fit, cells, (k,))
    for k in range(order if order > 2 else 0):
        others = [j for j in range(order) if j != k]
        found[f"the mean over mode {k}"] = means(fit, cells, others)
    return found | {"an offset for each position of each mode": offsets(fit, cells)}


class Plain(NamedTuple):
    """What does best without a model."""

    name: str
    error: float  # root mean square


def plain(cuts: Sequence[Cut]) -> Plain:
    """Return what predicts the cells that judge best without a model, over all cuts."""
    squares: dict[str, float] = {}
    for fit, judge in cuts:
        cells = positions(judge.operator)  # type: ignore[arg-type]
        for name, values in without_model(fit, cells).items():
            size = float((values - judge.y).square().mean())
            squares[name] = squares.get(name, 0.0) + size / len(cuts)
    best = min(squares, key=squares.__getitem__)
    return Plain(best, math.sqrt(squares[best]))


def outdone(error: float, by: Plain) -> tuple[str, ...]:
    """Say that a model, of this root mean square error on hidden gaps, is not worth its name."""
    if error < by.error:
        return ()
    return (
        "No low-rank model does better in gaps like these than the values do without one: on "
        f"observed cells that were hidden in the shape of the gaps its error is {error:.4g}, that "
        f"of {by.name} {by.error:.4g}. It knows a cell by what its slices share with others, and "
        "here the gaps take that away. Do not trust what it fills in: take the means, observe "
        "some cells of the gaps, or use a model that knows that neighbours are alike.",
    )


UNJUDGED = (
    "Missing cells lie together, but observed cells could not be hidden in the same shape without "
    "leaving slices much poorer than any is: the model was judged on cells drawn by chance, which "
    "are easier than the gaps. Nothing tells how good it is there."
)


def untold(cells: object, outcome: str) -> tuple[str, ...]:
    """Name the slices without any observed cell; ``outcome`` says what becomes of them."""
    if not isinstance(cells, Cells):
        return ()
    order = len(cells.shape)
    return tuple(
        f"{len(places):,} of the {n:,} {_slices(k, order)} have no observed cell; {outcome}: "
        f"{', '.join(map(str, places[:SHOWN]))}{', ...' if len(places) > SHOWN else ''}."
        for k, (places, n) in enumerate(zip(unseen(cells), cells.shape, strict=True))
        if places
    )


def _slice(mode: int, order: int) -> str:
    return ("row", "column")[mode] if order == 2 else f"slice of mode {mode}"


def _slices(mode: int, order: int) -> str:
    return ("rows", "columns")[mode] if order == 2 else f"slices of mode {mode}"
