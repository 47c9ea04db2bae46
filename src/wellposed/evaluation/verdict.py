"""A calibration in words: what failed, in which direction, and what to do about it."""

from __future__ import annotations

from wellposed.evaluation.calibration import LEVEL, Calibration

_CAUSES = {
    "narrow": "The sampler is over-confident: its draws are too close to each other.",
    "wide": "The sampler is under-confident: its draws are too far apart.",
    "low": "The draws are too low",
    "high": "The draws are too high",
}


def told(calibration: Calibration) -> list[str]:
    """Return the lines of a verdict.

    Examples
    --------
    >>> import wellposed as wp
    >>> from wellposed.evaluation.trials import exact_draws
    >>> prior = wp.Gaussian([0.0, 0.0], 1.0)
    >>> setting = (wp.operators.Identity((2,)), wp.noise.Gaussian(0.5))
    >>> told(wp.calibrate(setting, prior, exact_draws, repeats=40))[0]
    'No test failed in 40 trials of 19 draws (false alarms: at most 1 %).'
    """
    lines = [_headline(calibration), _coverage(calibration)]
    lines += [_failure(calibration, name) for name in calibration.failures if ":" in name]
    if calibration.mean_ratio is not None:
        lines.append(_mean(calibration.mean_ratio))
    return lines + _remedy(calibration)


def _headline(calibration: Calibration) -> str:
    trials = f"{len(calibration.trials)} trials of {calibration.trials.draws} draws"
    alarm = f"(false alarms: at most {100 * calibration.false_alarm:g} %)"
    if calibration.ok:
        return f"No test failed in {trials} {alarm}."
    count = len(calibration.failures)
    return f"{count} of {len(calibration.adjusted)} tests failed in {trials} {alarm}."


def _coverage(calibration: Calibration) -> str:
    found = next(c for c in calibration.coverage if c.level == LEVEL)
    line = (
        f"{100 * found.level:g} % intervals hold {100 * found.share:.1f} ± "
        f"{100 * found.error:.1f} % of the true elements."
    )
    if "coverage" not in calibration.failures:
        return line
    return f"{line} {_CAUSES['narrow' if found.share < found.level else 'wide']}"


def _failure(calibration: Calibration, name: str) -> str:
    what, kind = name.rsplit(": ", 1)
    test, p = calibration.tests[what], calibration.adjusted[name]
    if kind == "bias":
        cause = f"{_CAUSES['low' if test.bias > 0 else 'high']} in this"
    elif kind == "spread":
        cause = "the draws scatter too little" if test.spread > 1 else "the draws scatter too much"
    else:
        cause = "the ranks are not uniform"
    return f"{what.capitalize()}: {cause.lower()} (p = {p:.2g})."


def _mean(ratio: float) -> str:
    line = f"The mean of the draws is {ratio:.2f} times as far from E[x | y] as that of exact draws"
    return f"{line}." if ratio < 1.3 else f"{line}: the draws are not from the posterior."


def _remedy(calibration: Calibration) -> list[str]:
    if calibration.ok:
        return []
    factor = calibration.widening()
    lines = ["Use more steps, or a smaller last coupling; try DPnP where another method failed."]
    if factor is not None:
        lines.append(
            f"Intervals of {factor:.2f} times half the width of the draws' middle 80 %, around "
            f"their mean, hold {100 * LEVEL:g} % of the elements of signals like these."
        )
    return lines
