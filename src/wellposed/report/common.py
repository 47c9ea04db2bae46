"""Sections that every report ends with: the fit, what was asked, how to do it again, files."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from wellposed.files import sha256
from wellposed.jobs.commands import command
from wellposed.jobs.requests import from_plain
from wellposed.report.charts import residual_curve, singular_values
from wellposed.report.model import Figure, Section, Source, Table, number
from wellposed.result import Recovery
from wellposed.result_tensor import TensorRecovery
from wellposed.store import MANIFEST, load_tree

_LABELS = {
    "biases": "Row and column offsets",
    "half": "Half precision",
    "holdout": "Share set aside",
    "n": "Draws",
    "predict": "Cells asked for",
    "tol": "Tolerance",
}


def fitted(source: Source, stage: str = "fit") -> Any:
    """Read back what a stage recovered: a Recovery or a TensorRecovery."""
    return load_tree(source.folder / "stages" / stage / "result.safetensors")


def the_fit(recovery: Recovery | TensorRecovery, name: str) -> Section:
    """Show how the residual fell, and the singular values of a matrix."""
    trace = recovery.trace
    figures = []
    if len(trace) > 1 and np.isfinite(trace.residual).any():
        caption = f"Relative residual over {recovery.steps} steps."
        figures.append(Figure(caption, residual_curve(name, trace.step, trace.residual)))
    values = list(map(float, recovery.singular_values)) if isinstance(recovery, Recovery) else []
    if len(values) > 1:
        told = f"{number(values[0])} to {number(values[-1])}"
        figures.append(Figure(f"Singular values, {told}.", singular_values(name, values)))
    method = type(recovery.method).__name__
    final = trace.residual[-1] if len(trace) else float("nan")
    text = f"{method} made {number(recovery.steps)} steps. {recovery.status.text}"
    if np.isfinite(final):
        text += f" What it leaves unexplained is {number(float(final), 3)} of the data's norm."
    return Section("The fit", text, figures=figures)


def asked(source: Source) -> Section:
    """Show the arguments of the job, and the command that does it again."""
    job: Mapping[str, Any] = source.manifest.get("job", {})
    inputs = source.manifest.get("inputs", {})
    facts = [(_told(name), _value(name, value, inputs)) for name, value in job.items()]
    facts += [(f"{_told(name)}, sha256", about["sha256"]) for name, about in inputs.items()]
    request = from_plain(str(source.manifest["kind"]), job)
    lines = [command(request, inputs), f"wellposed resume {shlex.quote(source.folder.name)}"]
    text = (
        "The first command does the same again and ends with the same bytes, on the same build "
        "and number of threads. The second goes on with this folder if it was interrupted."
    )
    return Section("What was asked, and how to do it again", text, facts=facts, code=lines)


def made_with(source: Source) -> Section:
    """Show versions, and the files with their sizes and hashes."""
    versions: Mapping[str, str] = source.manifest.get("versions", {})
    skip = {MANIFEST, "report.html"}
    files = [p for p in sorted(source.folder.iterdir()) if p.is_file() and p.name not in skip]
    rows = [[p.name, size(p.stat().st_size), sha256(p)[:16]] for p in files]
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    note = f"The full hashes are in {MANIFEST}; wellposed report checks them."
    table = Table(["File", "Size", "sha256 begins"], rows, note=note) if rows else None
    return Section("Files and versions", text + ".", table)


def size(count: int) -> str:
    """Write a number of bytes for people.

    Examples
    --------
    >>> size(512), size(90618), size(25479802)
    ('512 B', '88.5 KiB', '24.3 MiB')
    """
    value, units = float(count), ["B", "KiB", "MiB", "GiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def _told(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def _value(name: str, value: Any, inputs: Mapping[str, Any]) -> str:
    if name in inputs:
        return str(inputs[name]["name"])
    if value is None:
        chosen = ("rank", "ranks", "ridge", "biases")
        return "chosen automatically" if name in chosen else "not given"
    if isinstance(value, (tuple, list)):
        return " × ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value) if isinstance(value, (int, float)) else str(value)
