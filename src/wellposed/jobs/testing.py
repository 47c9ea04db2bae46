"""Calibration in a run folder: trials in parts that are kept, so that it can go on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wellposed.evaluation.calibration import Calibration, judge
from wellposed.evaluation.ranks import ecdf_band
from wellposed.evaluation.trials import Setting, Trials, run_trials, stacked
from wellposed.jobs.folder import Bench
from wellposed.progress import Progress

PART = 4  # trials between two files


def tested(bench: Bench, setting: Setting, count: int) -> dict[str, Any]:
    """Make trials, or read back those that were made, and judge them."""
    # once, since each part would draw those of all parts before it again
    setting = replace(setting, truths=bench.once("signals", lambda: setting.signals(count)))
    parts: list[Trials] = []
    with Progress(count, shown=bench.limits.progress, label="calibrate") as bar:
        for first in range(0, count, PART):
            size = min(PART, count - first)

            def trials(first: int = first, size: int = size) -> Trials:
                return run_trials(setting, size, first)

            parts.append(bench.once(f"trials-{first:05d}", trials))
            bar.advance(first + size)
    return described(judge(stacked(parts)))


def described(calibration: Calibration) -> dict[str, Any]:
    """Return what a summary keeps of a calibration."""
    band = ecdf_band(len(calibration.trials))
    return {
        "ok": calibration.ok,
        "text": calibration.text.splitlines(),
        "trials": len(calibration.trials),
        "draws": calibration.trials.draws,
        "false_alarm": calibration.false_alarm,
        "failures": list(calibration.failures),
        "coverage": [c._asdict() for c in calibration.coverage],
        "tests": {name: t._asdict() for name, t in calibration.tests.items()},
        "adjusted": calibration.adjusted,
        "ranks": {name: sorted(u.tolist()) for name, u in calibration.trials.statistics.items()},
        "band": {"at": band.at.tolist(), "low": band.low.tolist(), "high": band.high.tolist()},
        "mean_ratio": calibration.mean_ratio,
        "widening": calibration.widening(),
        "map": calibration.coverage_map().flatten(0, -3).mean(0).tolist()
        if calibration.trials.truth.ndim >= 4
        else None,
    }
