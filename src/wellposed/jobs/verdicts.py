"""What draws say about themselves: agreement with the data, agreement of the chains.

Predictive check   y_rep ~ p(. | x) for each draw x;  p = share of draws with
                   log p(y_rep | x) <= log p(y | x); z = how many standard deviations of the
                   second the first is off, in the mean. Far below 0: the data are further from
                   the draws than the stated noise explains. Far above: nearer than it could be.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from wellposed.noise import Gaussian, Likelihood
from wellposed.problem import Problem
from wellposed.rng import Stream
from wellposed.run import Status
from wellposed.uncertainty import Posterior

R_HAT = 1.1
JUDGED = 20  # sweeps of the tail from which a large R-hat is a failure, not only a remark
ACCEPTANCE = (0.15, 0.95)  # of Metropolis moves
FEW = 8  # draws: fewer are worth a remark
REPLICAS = 32  # simulated measurements, at least
FAR = 4.0  # standard deviations of the log-likelihood


def fit_of(problem: Problem, draws: Tensor, seed: int) -> dict[str, Any] | None:
    """Compare data with the draws."""
    noise = problem.noise
    if not isinstance(noise, Likelihood) or not len(draws):
        return None
    seen, again = [], []
    for k, x in enumerate(draws):
        mean = problem.operator.forward(x[None])
        seen.append(noise.log_density(problem.y[None], mean))
        for j in range(-(-REPLICAS // len(draws))):
            rep = noise.simulate(mean[0], Stream(seed, item=k, block=j + 1))
            again.append(noise.log_density(rep[None], mean))
    own = torch.cat(seen).double()
    other = torch.cat(again).double().reshape(len(draws), -1)
    figures: dict[str, Any] = {
        "log_likelihood": float(own.mean()),
        "predictive": float((other <= own[:, None]).double().mean()),
        "expected": float(other.mean()),
        "z": float((own.mean() - other.mean()) / other.std()),
        "residual": None,
    }
    if isinstance(noise, Gaussian) and isinstance(noise.sigma, float):
        off = torch.stack([(problem.operator.forward(x[None])[0] - problem.y).abs() for x in draws])
        figures["residual"] = float(off.square().mean().sqrt()) / noise.sigma
    return figures


def judged(
    posterior: Posterior, fit: dict[str, Any] | None, asked: int
) -> tuple[str, str, list[str]]:
    """Return status, a sentence, and remarks."""
    warnings = [posterior.note[:1].upper() + posterior.note[1:]] if posterior.note else []
    if not posterior.status.ok:
        return posterior.status.value, "The chains became non-finite.", warnings
    if asked < FEW:
        warnings.append(
            f"{asked} draws are few: the standard deviation of a pixel is known to about "
            f"{100 / math.sqrt(2 * max(1, asked - 1)):.0f} % only."
        )
    if fit is not None:
        warnings += _doubts(fit)
    text = _failure(posterior)
    if text:
        return Status.MAX_STEPS.value, text, warnings
    if posterior.r_hat is not None and posterior.r_hat > R_HAT:
        warnings.append(
            f"Within the last sweeps single chains do not travel through the whole posterior "
            f"(R-hat {posterior.r_hat:.2f}): how far the draws are apart comes from the descent of "
            "the couplings. More steps, or --calibrate 40, tell whether it is right."
        )
    return Status.COMPLETE.value, "Every chain came to its end.", warnings


def mixing_rows(posterior: Posterior) -> list[dict[str, Any]]:
    """Return how the chains agree, number by number."""
    return [
        {"name": name, "r_hat": _plain(m.r_hat), "ess": _plain(m.ess), "mcse": _plain(m.mcse)}
        for name, m in posterior.mixing.items()
    ]


def _failure(posterior: Posterior) -> str:
    low, high = ACCEPTANCE
    share = posterior.acceptance
    if share is not None and not low <= share <= high:
        return (
            f"{share:.0%} of the moves were accepted, outside {low:.0%} to {high:.0%}: the steps "
            "did not adapt. Allow more steps."
        )
    summaries = None if posterior.account is None else posterior.account.summaries
    tail = 0 if summaries is None else len(summaries)
    if tail >= JUDGED and posterior.r_hat is not None and posterior.r_hat > R_HAT:
        return (
            f"The chains do not agree: R-hat is {posterior.r_hat:.2f} over {tail} sweeps, expected "
            f"at most {R_HAT}. Allow more steps."
        )
    return ""


def _doubts(fit: dict[str, Any]) -> list[str]:
    if fit["z"] < -FAR:
        return [
            f"The data are further from the draws than the stated noise explains (log-likelihood "
            f"{-fit['z']:.0f} standard deviations below what it would be): the noise may be larger "
            "than stated, the forward model another one, the picture unlike the prior's, or the "
            "draws too rough. More evaluations tell."
        ]
    if fit["z"] > FAR:
        return [
            f"The data are nearer to the draws than the stated noise allows (log-likelihood "
            f"{fit['z']:.0f} standard deviations above what it would be): the noise may be smaller "
            "than stated."
        ]
    return []


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
