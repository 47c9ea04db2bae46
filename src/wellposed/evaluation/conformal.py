"""Interval widths that hold, from held-out pairs: conformal risk control over images.

Source     Angelopoulos, Bates, Fisch, Lei & Schuster, "Conformal risk control", ICLR 2024.
Model      n held-out triples (truth, centre, scale), exchangeable with the next one; intervals
           centre +- factor * scale; risk of an item = share of its elements outside.
Update     factor = the least with  (n / (n + 1)) mean risk + 1 / (n + 1) <= 1 - level
Guarantee  the expected share of elements inside, for the next item, is at least ``level``:
           whatever the sampler, the prior and n, and however elements depend on each other.
Fails      n < level / (1 - level): no finite factor can be promised. The promise is about the
           average over items, not about each item or each element.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from wellposed.checks import as_tensor, finite, require, shaped, within


def widening(truth: Any, centre: Any, scale: Any, level: float = 0.9) -> float:
    """Return the factor by which ``scale`` makes intervals that cover.

    Parameters
    ----------
    truth
        [n, *shape]: signals that were held out.
    centre, scale
        [n, *shape]: what the method said of each, such as mean and half the width of its
        interval; scale > 0.
    level
        Share of elements to cover, in (0, 1).

    Returns
    -------
    float
        >= 0; below 1 where the stated intervals are wider than they need to be.

    Raises
    ------
    InputError
        Fewer pairs than level / (1 - level), or a scale that is not positive.

    Examples
    --------
    >>> import torch
    >>> truth = torch.randn(99, 50, generator=torch.Generator().manual_seed(0))
    >>> round(widening(truth, torch.zeros(99, 50), torch.ones(99, 50), 0.9), 1)
    1.7
    """
    x, middle, half = (
        as_tensor(a, name).double()
        for a, name in ((truth, "truth"), (centre, "centre"), (scale, "scale"))
    )
    within(level, "level", 0, 1, open_low=True, open_high=True)
    require(x.ndim >= 2 and x.numel() > 0, f"truth has shape {list(x.shape)}, expected [n, ...]")
    for value, name in ((middle, "centre"), (half, "scale")):
        shaped(value, name, x.shape)
        finite(value, name)
    require(
        bool((half > 0).all()),
        "scale is zero somewhere, expected positive numbers",
        "an interval of no width cannot be widened by a factor",
        "leave out elements that the measurement determines, or add a floor to the scale",
    )
    return _least(((x - middle).abs() / half).flatten(), len(x), level)


def _least(scores: Tensor, n: int, level: float) -> float:
    """The least factor with mean share of larger scores <= ((n + 1) (1 - level) - 1) / n."""
    allowed = ((n + 1) * (1 - level) - 1) / n
    least = math.ceil(level / (1 - level) - 1e-9)
    require(
        allowed >= -1e-9,
        f"there are {n} held-out pairs, expected at least {least} for the level {level:g}",
        "with fewer, nothing can be promised about the next one",
    )
    outside = math.floor(max(allowed, 0.0) * scores.numel() + 1e-9)
    return float(scores.sort(descending=True).values[min(outside, scores.numel() - 1)])
