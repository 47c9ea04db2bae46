"""The page of ``wellposed theory``: tables and charts of exact errors."""

from __future__ import annotations

from collections.abc import Sequence

from wellposed.report.model import Figure, Page, Section, Table, Tile, number
from wellposed.report.theory_charts import against_steps, budget, weight_of_left, with_few
from wellposed.theory.comparison import FEW, Rate
from wellposed.theory.lineup import CONSISTENT, DETERMINISTIC, SHALLOWER
from wellposed.theory.rates import slope
from wellposed.theory.study import Study
from wellposed.theory.unbalanced import ANNEALED, DIFFUSION, LANGEVIN

_DETERMINISTIC = {entrant.name for entrant in DETERMINISTIC}


def theory_page(study: Study) -> Page:
    """Build the page of a study.

    Parameters
    ----------
    study
        What was measured.
    """
    mixture = study.mixture
    parts = ", ".join(
        f"{number(w, 3)} N({number(m, 3)}, {number(s, 3)}²)"
        for w, m, s in zip(mixture.weights, mixture.means, mixture.stds, strict=True)
    )
    return Page(
        "Theory",
        "Proved bounds and exact errors",
        "Laws on the line are carried through the very steps that sample: no Monte Carlo noise. "
        f"Data: {parts}, drawn with seed {study.seed}.",
        _verdict(study.rates),
        "good",
        _tiles(study),
        (),
        [
            _identities(study),
            _rates("Deterministic samplers", _of(study, deterministic=True)),
            _rates("Stochastic samplers", _of(study, deterministic=False)),
            _few(study),
            _weights(study),
            _budget(study),
            _sensitivity(study),
        ],
    )


def _of(study: Study, *, deterministic: bool) -> list[Rate]:
    return [r for r in study.rates if (r.entrant.name in _DETERMINISTIC) == deterministic]


def _verdict(rates: Sequence[Rate]) -> str:
    bounded = [(r, r.entrant.bound) for r in rates if r.entrant.bound is not None]
    apart = [r.entrant.name for r, b in bounded if b and not b.allows(r.slope)]
    if not apart:
        return f"{CONSISTENT.capitalize()}: {', '.join(r.entrant.name for r, _ in bounded)}."
    return f"{SHALLOWER.capitalize()}: {', '.join(apart)}."


def _tiles(study: Study) -> list[Tile]:
    bounded = [rate for rate in study.rates if rate.entrant.bound is not None]
    return [Tile(r.entrant.name, _two_digits(r.slope), "slope of log TV") for r in bounded]


def _identities(study: Study) -> Section:
    checks = study.checks
    rows = [
        ["Tweedie: denoiser and score against Bayes' rule", number(checks.tweedie, 2)],
        ["Fokker-Planck equation of the reversed SDE", number(checks.sde, 2)],
        ["Fokker-Planck equation of the probability flow", number(checks.ode, 2)],
    ]
    table = Table(["Identity", "Largest residual"], rows)
    text = "What everything below rests on, at three noise levels."
    return Section("Identities", text, table)


def _rates(title: str, rates: Sequence[Rate]) -> Section:
    rows = []
    for rate in rates:
        bound, slope = rate.entrant.bound, rate.theory_slope
        rows.append([
            rate.entrant.name,
            number(rate.fixed.tv[1], 3),
            number(rate.fixed.tv[-1], 3),
            _two_digits(rate.slope),
            "" if slope is None else _two_digits(slope),
            "" if bound is None else bound.formula,
            "" if bound is None else ("consistent" if bound.allows(rate.slope) else "shallower"),
        ])  # fmt: skip
    lengths = rates[0].fixed.steps
    heads = ["Sampler", f"TV at {lengths[1]}", f"at {lengths[-1]}", "slope", "on schedule",
             "proved", "verdict"]  # fmt: skip
    note = (
        "Slope: of log TV against log T over the last four lengths, on a grid with uniform log "
        "signal-to-noise ratio from -10 to 6, from the exact start. On schedule: on that of the "
        "theorems, against log(T / log T); errors may carry more logarithms there. Proved: orders "
        "of upper bounds, up to logarithms, with constants that are not known: a slope can be "
        f"{CONSISTENT}, never show it."
    )
    figures = [
        Figure("Uniform log signal-to-noise ratio. Dotted: the order of a proved upper bound; its "
               "height means nothing.", against_steps(f"fixed {title}", rates), wide=True),
        Figure("The schedule of the theorems.",
               against_steps(f"theory {title}", rates, on_schedule=True), wide=True),
    ]  # fmt: skip
    return Section(title, "", Table(heads, rows, note=note), figures)


def _few(study: Study) -> Section:
    heads = ["Sampler", *(f"W2, {n}" for n in FEW), *(f"TV, {n}" for n in FEW[:2])]
    rows = [
        [
            one.name,
            *(number(found.w2, 2) for found in one.found),
            *(number(found.tv, 2) for found in one.found[:2]),
        ]
        for one in study.few
    ]
    text = (
        "One denoiser evaluation a step, log-uniform noise levels, start from noise. The "
        "provably accelerated form as it is analysed needs many steps, since its coefficients "
        "are linear in beta; with exactly integrated coefficients it serves, behind the "
        "multistep solver."
    )
    figure = Figure("Distance to the data.", with_few("few", study.few), wide=True)
    return Section("Few evaluations", text, Table(heads, rows), [figure])


def _weights(study: Study) -> Section:
    rows = [
        [
            f"modes at ±{number(one.half_gap)}",
            number(one.truth, 3),
            *(number(one.langevin[min(k, len(one.langevin) - 1)], 3) for k in (200, 1000, 4000)),
            number(one.annealed[-1], 3),
            number(one.diffusion[-1], 3),
        ]
        for one in study.weights
    ]
    heads = ["Data", "truth", "ULA, 200", "ULA, 1000", "ULA, 4000",
             f"annealed, {ANNEALED.steps * ANNEALED.moves}",
             f"DDPM, {DIFFUSION.steps}"]  # fmt: skip
    text = (
        f"Weight of the left of two modes with standard deviation 0.5. ULA starts at N(0, 1) with "
        f"step {number(LANGEVIN.step_size)} and finds both modes, but not their weights; where "
        "modes overlap at high noise, the weights are right from the start."
    )
    figures = [
        Figure(f"Modes at ±{number(one.half_gap)}.",
               weight_of_left(f"{one.half_gap}", one, ANNEALED.moves))
        for one in study.weights[::2]
    ]  # fmt: skip
    return Section("Langevin dynamics and diffusion on unequal modes", text,
                   Table(heads, rows), figures)  # fmt: skip


def _budget(study: Study) -> Section:
    heads = ["N", "error of scores", "TV", "path bound", "KL: start", "steps", "scores",
             "Thm 1: start", "steps", "scores"]  # fmt: skip
    rows = [
        [
            *(number(value) for value in (one.steps, one.error)),
            *(number(value, 3) for value in (one.exact.tv, one.path.pinsker)),
            *(number(value, 2) for value in (one.path.start, one.path.steps, one.path.score)),
            *(number(value, 2) for value in one.theorem),
        ]
        for one in study.splits
    ]
    exact = [one for one in study.splits if one.error == 0]
    steps = [one.steps for one in exact]
    slopes = [
        slope(steps, [one.exact.tv for one in exact]),
        slope(steps, [one.path.pinsker for one in exact]),
    ]
    text = (
        "The exponential integrator of the reversed Ornstein-Uhlenbeck process from time 4, on "
        "modes at ±2 with weights 0.8 and 0.2. Error comes from starting at noise, from freezing "
        "scores in a step, and from wrong scores. The path bound, the root of KL / 2, is "
        "computed; the terms of Theorem 1 are evaluated with constant 1, order only, at "
        f"L = {number(study.lipschitz, 3)} and m = {number(study.moment, 3)}."
    )
    note = (
        f"Slopes with exact scores: {_two_digits(slopes[0])} for TV, {_two_digits(slopes[1])} for "
        "the path bound. The bounds fall like the root of 1/N at best."
    )
    figure = Figure("Exact scores. Above one a bound says nothing.", budget("ou", exact), wide=True)
    return Section("The budget of Theorem 1", text, Table(heads, rows, note=note), [figure])


def _sensitivity(study: Study) -> Section:
    heads = ["Error of the score", "L2 error", "Jacobian's", "TV of DDIM", "TV of DDPM"]
    rows = [
        [
            one.field,
            number(one.score_error, 2),
            number(one.jacobian_error, 2) if one.jacobian_error > 1e-9 else "0",
            number(one.ode, 3),
            number(one.sde, 3),
        ]
        for one in study.sensitivities
    ]
    text = (
        "The same wrong score for a deterministic and a stochastic sampler of 200 steps. The "
        "theorems on deterministic samplers ask for a small error of the Jacobian as well, and "
        "they must: fast oscillations of the score fold the flow, while noise averages them out."
    )
    return Section("Wrong scores", text, Table(heads, rows))


def _two_digits(slope: float) -> str:
    return f"{slope:.2f}".replace("-", "\u2212")
