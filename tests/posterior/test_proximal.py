"""Proximal consistency samplers against closed forms and quadrature.

Each figure is a mean over 2048 independent chains; bounds are 5 standard errors (false alarms
about once in 10^6), with seeds fixed.
"""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from posterior_truth import Bits, measured, mixture

import wellposed as wp
from wellposed.posterior import proximal
from wellposed.posterior.datafit import DataFit, Seen
from wellposed.posterior.proximal import EllipticalSlice, ExactGaussian, LangevinMoves, Turn
from wellposed.priors import Gaussian
from wellposed.rng import Stream
from wellposed.task import Task

CHAINS, SWEEPS = 2048, 12


def settle(sampler, fit, x, eta, sweeps=SWEEPS, adapting=8, seed=1):
    """Chains at fixed x: z after some sweeps."""
    turn = Turn(x, eta, Stream(seed), 0)
    pull = sampler.begin(fit, turn)
    for k in range(sweeps):
        pull = sampler.draw(fit, turn._replace(sweep=k, adapt=k < adapting), pull)
    return pull


def closed_form(problem, x, eta):
    matrix, sigma = problem.operator.matrix, problem.noise.sigma
    eye = torch.eye(matrix.shape[1], dtype=torch.float64)
    covariance = torch.linalg.inv(matrix.T @ matrix / sigma**2 + eye / eta**2)
    return covariance @ (matrix.T @ problem.y / sigma**2 + x / eta**2), covariance


def off_by(z, mean, covariance):
    """Largest deviation of mean and covariance, in standard errors."""
    n, spread = len(z), covariance.diagonal().sqrt()
    first = (z.mean(0) - mean).abs() / spread * math.sqrt(n)
    scale = (spread[:, None] * spread) * math.sqrt(2 / n)
    return float(first.max()), float(((torch.cov(z.T) - covariance) / scale).abs().max())


SAMPLERS = {
    "exact": (ExactGaussian(), 1), "mala": (LangevinMoves(10), SWEEPS),
    "slice": (EllipticalSlice(20), 24),  # the data pull far: many short moves
}  # fmt: skip


@pytest.mark.parametrize("eta", [0.3, 2.0])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_linear_gaussian_target_is_met(name, eta):
    problem = measured(mixture(3, 2), 2, 0.5, 4)
    fit = DataFit.of(Task(problem, mixture(3, 2)), "test")
    x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    sampler, sweeps = SAMPLERS[name]
    z = settle(sampler, fit, x.expand(CHAINS, 3), eta, sweeps).z
    assert max(off_by(z, *closed_form(problem, x, eta))) < 5


def sigmoid_problem():
    """One coordinate, two signs: skew and bounded."""
    operator = wp.operators.Matrix([[1.0], [0.5]])
    return wp.Problem(torch.tensor([1.0, -1.0], dtype=torch.float64), operator, Bits(0.3))


def bent_problem():
    """A square: two modes, a gradient by autograd."""
    operator = wp.operators.from_callable(lambda x: x.square(), (1,))
    return wp.Problem(torch.tensor([1.0], dtype=torch.float64), operator, wp.noise.Gaussian(0.7))


def by_quadrature(problem, x, eta, powers=4):
    """Moments of exp(L(z) - (z - x)^2 / (2 eta^2)) on a grid."""
    grid = torch.linspace(x - 9 * eta, x + 9 * eta, 20_001, dtype=torch.float64)[:, None]
    logs = problem.noise.log_density(problem.y[None], problem.operator.forward(grid))
    logs = logs - (grid[:, 0] - x).square() / (2 * eta**2)
    weights = torch.softmax(logs, 0)
    return [float(weights @ grid[:, 0] ** k) for k in range(1, 2 * powers + 1)]


def moments_off(z, exact, powers=4):
    """Deviation of raw moments, in standard errors."""
    found = [float((z**k).mean()) for k in range(1, powers + 1)]
    errors = [math.sqrt((exact[2 * k - 1] - exact[k - 1] ** 2) / len(z)) for k in (1, 2, 3, 4)]
    return max(abs(a - b) / e for a, b, e in zip(found, exact, errors, strict=False))


@pytest.mark.parametrize("eta", [0.2, 1.0])
@pytest.mark.parametrize("problem", [sigmoid_problem(), bent_problem()], ids=["signs", "square"])
@pytest.mark.parametrize("sampler", [LangevinMoves(15), EllipticalSlice(15)], ids=str)
def test_nonlinear_targets_agree_with_quadrature(sampler, problem, eta):
    fit = DataFit.of(Task(problem, Gaussian([0.0], 1.0)), "test")
    x = torch.full((CHAINS, 1), 0.3, dtype=torch.float64)
    z = settle(sampler, fit, x, eta).z[:, 0]
    assert moments_off(z, by_quadrature(problem, 0.3, eta)) < 5


def test_langevin_moves_without_the_metropolis_test_are_seen(monkeypatch):
    """What the published code does: every proposal is taken."""
    monkeypatch.setattr(proximal, "_log_ratio", lambda turn, z, *rest: torch.zeros(len(z)))
    problem = bent_problem()
    fit = DataFit.of(Task(problem, Gaussian([0.0], 1.0)), "test")
    x = torch.full((CHAINS, 1), 0.3, dtype=torch.float64)
    z = settle(LangevinMoves(15), fit, x, 1.0, adapting=0).z[:, 0]
    assert not moments_off(z, by_quadrature(problem, 0.3, 1.0)) < 8  # or NaN: it runs away


def test_a_ratio_that_forgets_the_gradients_is_seen(monkeypatch):
    monkeypatch.setattr(
        proximal, "_log_ratio", lambda turn, z, old, to, new, a: new.log_prob - old.log_prob
    )
    problem = sigmoid_problem()
    fit = DataFit.of(Task(problem, Gaussian([0.0], 1.0)), "test")
    x = torch.full((CHAINS, 1), 0.3, dtype=torch.float64)
    z = settle(LangevinMoves(15), fit, x, 1.0).z[:, 0]
    assert moments_off(z, by_quadrature(problem, 0.3, 1.0)) > 8


def test_the_metropolis_ratio_is_the_textbook_one():
    """Against log pi(z') q(z | z') / (pi(z) q(z' | z)) written out."""
    problem = bent_problem()
    fit = DataFit.of(Task(problem, Gaussian([0.0], 1.0)), "test")
    z, to = Stream(1).normal((5, 1), "z"), Stream(1).normal((5, 1), "to")
    turn, a = Turn(torch.zeros_like(z) + 0.2, 0.8, Stream(0), 0), torch.linspace(0.1, 0.9, 5)
    old, new = fit.look(z), fit.look(to)

    def target(at, seen):
        return seen.log_prob - ((at - turn.x) ** 2).sum(1) / (2 * turn.eta**2)

    def move(start, seen, end):
        mean = turn.x + a[:, None] * (start - turn.x)
        mean = mean + (1 - a[:, None]) * turn.eta**2 * seen.gradient
        return -((end - mean) ** 2).sum(1) / (2 * turn.eta**2 * (1 - a**2))

    exact = target(to, new) - target(z, old) + move(to, new, z) - move(z, old, to)
    assert torch.allclose(proximal._log_ratio(turn, z, old, to, new, a), exact, atol=1e-12)


def test_gradients_agree_with_central_differences():
    for problem in (sigmoid_problem(), bent_problem()):
        fit = DataFit.of(Task(problem, Gaussian([0.0], 1.0)), "test")
        x, h = torch.linspace(-1.5, 1.5, 7, dtype=torch.float64)[:, None], 1e-5
        slope = (fit.log_prob(x + h) - fit.log_prob(x - h)) / (2 * h)
        assert torch.allclose(fit.look(x).gradient[:, 0], slope, rtol=1e-6, atol=1e-8)


def test_the_curvature_is_the_largest_eigenvalue():
    problem = measured(mixture(4, 2), 3, 0.5, 4)
    fit = DataFit.of(Task(problem, mixture(4, 2)), "test")
    x = Stream(2).normal((6, 4), "x")
    found = fit.curvature(x, 0.1 * Stream(3).normal((6, 4), "v"))
    exact = (problem.operator.norm / problem.noise.sigma) ** 2
    assert np.allclose(found, exact, rtol=0.05)
    assert bool((found < exact * 1.001).all())


# ---------------------------------------------------------------- promises


@pytest.mark.parametrize("sampler", [LangevinMoves(4), EllipticalSlice(4)], ids=str)
def test_a_chain_is_the_same_alone_and_in_company(sampler):
    fit = DataFit.of(Task(bent_problem(), Gaussian([0.0], 1.0)), "test")
    x = Stream(1).normal((6, 1), "x")
    other = torch.cat([x[:1], 5 * x[1:] + 1])
    one, two = (settle(sampler, fit, start, 0.5, 4, 2) for start in (x, other))
    assert torch.equal(one.z[0], two.z[0])
    assert torch.equal(one.log_step[0], two.log_step[0])


def test_a_step_shared_by_the_batch_is_seen():
    """The control of the test above: one step for all, from the norm over the batch."""

    class Shared(LangevinMoves):
        def draw(self, fit, turn, pull):
            mean = pull.log_step.mean().expand_as(pull.log_step)
            return super().draw(fit, turn, pull._replace(log_step=mean))

    fit = DataFit.of(Task(bent_problem(), Gaussian([0.0], 1.0)), "test")
    x = Stream(1).normal((6, 1), "x")
    other = torch.cat([x[:1], 5 * x[1:] + 1])
    one, two = (settle(Shared(4), fit, start, 0.5, 4, 2) for start in (x, other))
    assert not torch.equal(one.z[0], two.z[0])


def test_steps_adapt_towards_the_best_acceptance_and_are_then_frozen():
    fit = DataFit.of(Task(bent_problem(), Gaussian([0.0], 1.0)), "test")
    x = torch.full((CHAINS, 1), 0.3, dtype=torch.float64)
    turn = Turn(x, 1.0, Stream(1), 0)
    sampler = LangevinMoves(10)
    pull = sampler.begin(fit, turn)
    pull = pull._replace(log_step=pull.log_step - 4)  # far too small
    for k in range(20):
        pull = sampler.draw(fit, turn._replace(sweep=k, adapt=True), pull)
    assert pull.acceptance is None
    after = sampler.draw(fit, turn._replace(sweep=21), pull)
    assert torch.equal(after.log_step, pull.log_step)
    assert 0.45 < after.acceptance < 0.7
    assert after.gradients == pull.gradients + 11


def test_a_rejected_or_impossible_proposal_leaves_the_chain():
    class Broken(DataFit):
        def look(self, x):
            seen = super().look(x)
            bad = (x - 0.3).abs()[:, 0] > 1e-12
            return Seen(torch.where(bad, torch.nan, seen.log_prob), seen.gradient)

    fit = Broken(bent_problem().operator, bent_problem().noise, bent_problem().y)
    x = torch.full((3, 1), 0.3, dtype=torch.float64)
    turn = Turn(x, 1.0, Stream(1), 0)
    pull = LangevinMoves(3).begin(fit, turn)._replace(z=x)
    assert torch.equal(LangevinMoves(3).draw(fit, turn, pull).z, x)


def test_the_named_kind_must_be_able():
    problem = bent_problem()
    fit = DataFit.of(Task(problem, Gaussian([0.0], 1.0)), "test")
    with pytest.raises(wp.WellposedError, match="these can: 'mala', 'slice'"):
        proximal.choose(fit, "exact", None)
    assert proximal.choose(fit, "auto", 7) == LangevinMoves(7)
    assert proximal.choose(fit, "slice", None) == EllipticalSlice()
    for sampler in (LangevinMoves(), EllipticalSlice()):
        with pytest.raises(wp.WellposedError, match="moves"):
            replace(sampler, moves=0)
