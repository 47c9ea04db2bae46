"""``wellposed complete``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from wellposed.cli.words import whole_numbers
from wellposed.errors import InputError


def complete(
    table: Path,
    /,
    *,
    rank: Literal["auto"] | int = "auto",
    ranks: str = "auto",
    variable: str | None = None,
    ridge: Literal["auto"] | float = "auto",
    biases: bool | None = None,
    method: str | None = None,
    holdout: float = 0.1,
    predict: Path | None = None,
    out: Path | None = None,
    seed: int = 0,
    steps: int = 2000,
    tol: float = 1e-6,
    layout: Literal["auto", "triplets", "wide"] = "auto",
    delimiter: str | None = None,
    checkpoint_seconds: float = 30.0,
) -> int:
    """Complete a table, or an array of more modes, with missing cells by a low-rank model.

    Parameters
    ----------
    table
        Text (csv, tsv: a line a cell or a line a row), .npy, .npz or parquet; NaN is missing.
        Three or more modes: .npy, .npz, HDF5, NetCDF, a TIFF.
    rank
        Rank of the model of a table; auto: by hold-out.
    ranks
        Ranks of the modes of an array, as in 40,40,6; auto: by hold-out.
    variable
        Which array of a file that holds several.
    ridge
        Penalty against overfitting; auto: by hold-out.
    biases
        Fit row and column offsets; left out: if they lower the hold-out error.
    method
        One of those that wellposed methods lists.
    holdout
        Share of the observed cells that judges the model and is never used to choose or fit it.
    predict
        Cells to predict, row id and column id a line; left out: all missing ones.
    out
        Folder of the run; left out: the next one under runs/.
    seed
        Seed of all random choices.
    steps
        Largest number of steps of a fit.
    tol
        Relative tolerance of the stopping rules.
    layout
        How to read text: a line a cell, or a line a row.
    delimiter
        What separates the columns of text; left out: found out.
    checkpoint_seconds
        Time between checkpoints.
    """
    from wellposed.cli.done import tell
    from wellposed.cli.output import watched
    from wellposed.io import holds_cube
    from wellposed.jobs.complete import complete as carry_out
    from wellposed.jobs.requests import CompleteJob

    watch = dict[str, Any](progress=watched(), checkpoint_seconds=checkpoint_seconds)
    fit = dict[str, Any](method=method, holdout=holdout, seed=seed, steps=steps, tol=tol)
    if holds_cube(table):
        _refuse(
            "a table", rank=rank != "auto", ridge=ridge != "auto",
            biases=biases is not None, predict=predict is not None, layout=layout != "auto",
            delimiter=delimiter is not None,
        )  # fmt: skip
        return _complete_cube(table, ranks, variable, out, fit, watch)
    _refuse("an array of more modes", ranks=ranks != "auto", variable=variable is not None)
    job = CompleteJob(
        str(table), rank=None if rank == "auto" else rank, ridge=None if ridge == "auto" else ridge,
        biases=biases, predict=None if predict is None else str(predict), layout=layout,
        delimiter=delimiter, **fit,
    )  # fmt: skip
    return tell(carry_out(job, out, **watch))


def _complete_cube(
    path: Path,
    ranks: str,
    variable: str | None,
    out: Path | None,
    fit: dict[str, Any],
    watch: dict[str, Any],
) -> int:
    from wellposed.cli.done import tell
    from wellposed.jobs.cubes import complete_cube
    from wellposed.jobs.requests import CompleteCubeJob

    numbers = None if ranks == "auto" else whole_numbers(ranks, "ranks")
    job = CompleteCubeJob(str(path), variable=variable, ranks=numbers, **fit)
    return tell(complete_cube(job, out, **watch))


def _refuse(what: str, **given: bool) -> None:
    """Refuse options that were given but belong to the other kind of data."""
    for name, used in given.items():
        if used:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} is for {what}", remedy=f"leave {flag} out")
