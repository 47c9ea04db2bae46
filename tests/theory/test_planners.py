"""Low-rank planners: formulas worked out by hand, ranges, labels, and a proved bound."""

import math
from dataclasses import replace

import pytest
import torch

from wellposed.errors import InputError
from wellposed.lowrank.scaled_gd import ScaledGD
from wellposed.lowrank.setting import Factors, relative_error
from wellposed.operators.generic import Identity
from wellposed.priors.lowrank import LowRank
from wellposed.problem import Problem
from wellposed.rng import Stream
from wellposed.task import Task
from wellposed.theory import pilots, trials
from wellposed.theory.pilots import PILOTS, pilot
from wellposed.theory.planner import Sizes, evaluate
from wellposed.theory.planners import planner
from wellposed.theory.planners_lowrank import PLANNERS
from wellposed.theory.trials import matrix_of

SIZES = Sizes(
    60, 40, rank=2, kappa=3.0, epsilon=math.exp(-10), mu=2.0, outliers=0.25, sigma=0.1,
    off_rank=0.5, step_size=0.5, start=0.5,
)  # fmt: skip
# Worked out by hand at these sizes.
BY_HAND = {
    "dof": [(60 + 40 - 2) * 2],
    "gd-sensing": [100 * 4 * 9, 30],
    "scaledgd-sensing": [100 * 4 * 9, math.ceil((10 + math.log(0.15)) / -math.log(0.7))],
    "scaledgd-completion": [2 * 4 * 9 * 18 / 40, 10],
    "scaledgd-rpca": [1 / (2 * 2.8284271247461903 * 3), 10],
    "scaledsm": [40, 80, 120],
    "scaledgd-lambda": [240, math.log(3) * math.log(180) + 10],
    "scaledgd-lambda-noise": [9 * (0.1 * math.sqrt(120) + 0.5)],
    "overparam-gd": [math.exp(10), 40],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_formulas(name):
    values = [line.value for line in evaluate(planner(name), SIZES)]
    assert values == pytest.approx(BY_HAND[name], rel=1e-12)


def test_every_planner_is_worked_out():
    assert {p.id for p in PLANNERS} == set(BY_HAND)
    assert all(p.assumptions and p.source and p.question.endswith("?") for p in PLANNERS)


def test_nothing_is_promised_that_is_not_proved():
    kinds = {p.id: {q.kind for q in p.quantities} for p in PLANNERS}
    assert kinds["dof"] == {"count"}
    assert "bound" in kinds["scaledgd-sensing"]
    assert all(k == {"order"} for i, k in kinds.items() if i not in ("dof", "scaledgd-sensing"))
    for p in PLANNERS:
        for line, quantity in zip(evaluate(p, Sizes(10**6, 10**6, 1)), p.quantities, strict=True):
            expected = {"order": "order only", "bound": "proved", "count": "an exact"}[
                quantity.kind
            ]
            assert line.label.startswith((expected, "beyond"))


def test_what_is_impossible_is_said_to_be():
    lines = evaluate(planner("scaledgd-completion"), Sizes(100, 100, 5, kappa=10))
    assert lines[0].value > 1
    assert lines[0].label.startswith("beyond what is possible")
    assert not lines[1].label.startswith("beyond")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rank": 41}, {"rank": 0}, {"kappa": 0.5}, {"epsilon": 0.0}, {"epsilon": 1.0},
        {"mu": 0.5}, {"mu": 21.0}, {"outliers": 0.5}, {"outliers": -0.1}, {"sigma": -1.0},
        {"step_size": 0.7}, {"step_size": 0.0}, {"start": 0.0}, {"n1": 0},
        {"kappa": math.nan}, {"kappa": math.inf},
    ],
    ids=str,
)  # fmt: skip
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(InputError):
        replace(SIZES, **wrong)


def steps_taken(step_size, epsilon):
    """Steps of ScaledGD from a pair near the truth, all entries observed: isometry is exact."""
    sizes, stream = Sizes(30, 20, 3, kappa=20.0), Stream(5)
    truth = matrix_of(sizes, stream)
    u, s, v = torch.linalg.svd(truth, full_matrices=False)
    root = s[:3].sqrt()
    left, right = u[:, :3] * root, v[:3].mT * root
    smallest = float(s[2])
    # dist <= 0.1 sigma_r, in the metric of the theorem: off * sqrt(sigma)
    push = [stream.normal(f.shape, name) for f, name in ((left, "l"), (right, "r"))]
    length = math.sqrt(sum(float((p * root).square().sum()) for p in push))
    left, right = (f + 0.099 * smallest / length * p
                   for f, p in zip((left, right), push, strict=True))  # fmt: skip
    method = ScaledGD(step_size=step_size)
    plan = method.prepare(Task(Problem(truth, Identity((30, 20))), LowRank(3)))
    state = method.init(plan, stream)._replace(left=left, right=right)
    aim = epsilon * smallest / float(truth.norm())
    for step in range(10_000):
        if relative_error(Factors(state.left, state.right), truth) <= aim:
            return step
        state = method.step(plan, state)
    raise AssertionError


@pytest.mark.parametrize("step_size", [0.2, 0.5, 0.66])
def test_the_proved_bound_holds_where_its_assumptions_do(step_size):
    epsilon = 1e-8
    bound = evaluate(planner("scaledgd-sensing"),
                     Sizes(30, 20, 3, epsilon=epsilon, step_size=step_size))[1].value  # fmt: skip
    assert steps_taken(step_size, epsilon) <= bound


def test_the_bound_of_a_longer_step_does_not_hold():
    bound = evaluate(planner("scaledgd-sensing"),
                     Sizes(30, 20, 3, epsilon=1e-8, step_size=0.66))[1].value  # fmt: skip
    assert steps_taken(0.2, 1e-8) > bound


def test_a_pilot_keeps_the_powers_of_the_theorem():
    small = Sizes(14, 12, 1, kappa=1.0, epsilon=1e-4)
    found = pilot(planner("scaledgd-sensing"), small)
    assert found.sizes == small
    assert found.value == pytest.approx(found.measured)
    finer = pilot(planner("scaledgd-sensing"), replace(small, epsilon=1e-8))
    # twice the digits, about twice the steps
    assert 1.5 < finer.measured / found.measured < 2.7


def test_pilots_see_the_condition_number_where_it_matters():
    sizes = Sizes(12, 10, 2, epsilon=1e-3)
    gd = [pilot(planner("gd-sensing"), replace(sizes, kappa=k)).measured for k in (1.0, 8.0)]
    scaled = [pilot(planner("scaledgd-sensing"), replace(sizes, kappa=k)).measured
              for k in (1.0, 8.0)]  # fmt: skip
    assert gd[1] > 3 * gd[0]
    assert scaled[1] < 1.6 * scaled[0]


def test_the_threshold_of_completion_is_between_counting_and_all():
    sizes = Sizes(40, 40, 1)
    found = pilot(planner("scaledgd-completion"), sizes)
    assert evaluate(planner("dof"), sizes)[0].value / 1600 < found.measured < 0.6
    assert found.constant * math.log(40) / 40 == pytest.approx(found.measured)


def test_robust_pca_bears_a_share_of_errors(monkeypatch):
    monkeypatch.setattr(pilots, "SEEDS", 1)
    monkeypatch.setattr(trials, "HALVINGS", 3)
    found = pilot(planner("scaledgd-rpca"), Sizes(30, 30, 1))
    assert 0.05 < found.measured < 0.5


def test_gross_errors_and_an_unknown_rank_cost_steps_that_pilots_count():
    sizes = Sizes(12, 10, 1, kappa=2.0, epsilon=1e-3)
    steps = [pilot(planner("scaledsm"), replace(sizes, outliers=a)).measured for a in (0.0, 0.3)]
    assert 1.3 * steps[0] < steps[1] < 100 * steps[0]
    damped = pilot(planner("scaledgd-lambda"), sizes)
    assert damped.measured > pilot(planner("scaledgd-sensing"), sizes).measured


def test_there_is_no_pilot_for_a_count():
    with pytest.raises(InputError, match="there is no pilot for dof"):
        pilot(planner("dof"), SIZES)
    assert set(PILOTS) <= {p.id for p in PLANNERS}


def test_a_pilot_that_fails_says_so(monkeypatch):
    monkeypatch.setattr(pilots, "MULTIPLE", 0.001)
    with pytest.raises(InputError, match="did not reach the accuracy"):
        pilot(planner("gd-sensing"), Sizes(6, 6, 2, kappa=1e3, epsilon=1e-8))
