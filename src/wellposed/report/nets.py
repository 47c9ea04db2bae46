"""What a report shows of an unrolled net: its numbers, and how to use them again."""

from __future__ import annotations

import shlex

import numpy as np

from wellposed.report.charts import layers
from wellposed.report.model import Figure, Section, Source, number


def the_net(source: Source) -> list[Section]:
    """Show thresholds and steps of each layer, where the method is an unrolled one."""
    net = source.summary["settings"].get("net")
    if net is None:
        return []
    thresholds, sizes = (np.asarray(net[name]) for name in ("thresholds", "step_sizes"))
    told = {"self": "tuned on these data alone", "none": "the usual ones, not tuned"}
    job = source.manifest["job"]
    origin = told.get(job["tune"], "those of another run")
    text = (
        f"{len(thresholds)} layers; their numbers are {origin}. The start clips at "
        f"{number(net['start'], 3)} robust standard deviations of the data; a layer takes what "
        "exceeds its threshold for foreground, and makes its step towards the rest."
    )
    figures = [
        Figure(
            f"Thresholds, from {number(thresholds[0], 3)} to {number(thresholds[-1], 3)} robust "
            "standard deviations of the data.",
            layers("thresholds", thresholds, "threshold"),
        ),
        Figure(
            f"Steps, from {number(sizes.min(), 3)} to {number(sizes.max(), 3)} of the full one.",
            layers("steps", sizes, "step"),
        ),
    ]
    again = f"wellposed separate CLIP --method {job['method']} --tune "
    code = [again + shlex.quote(f"{source.folder.name}/net.safetensors")]
    return [Section("The net", text, figures=figures, code=code)]
