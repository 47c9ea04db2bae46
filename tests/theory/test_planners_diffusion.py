"""Diffusion planners: formulas against figures worked out by hand, labels, pilots."""

import math
from dataclasses import replace

import pytest

from wellposed.cli import main
from wellposed.errors import InputError
from wellposed.samplers.ou import ExponentialOU
from wellposed.theory.pilots_diffusion import PILOTS, line_pilot
from wellposed.theory.planner import evaluate
from wellposed.theory.planners import planner
from wellposed.theory.planners_diffusion import PLANNERS, DiffusionSizes
from wellposed.theory.propagate import exact_law
from wellposed.theory.unbalanced import unequal_modes

SIZES = DiffusionSizes(
    dimension=4, steps=10_000, tv=0.01, score_error=0.001, jacobian_error=0.002, lipschitz=3.0,
    moment=1.5, divergence=2.0, horizon=4.0,
)  # fmt: skip
STOCHASTIC, FLOW = 2 * 0.001, 2 * 0.001 + 4 * 0.002  # sqrt(d) eps (+ d epsJ)
# Worked out by hand at these sizes; d^6 = 4096, h = 4 / 10^4.
BY_HAND = {
    "ddim-plain": [4 / 1e4 + FLOW, 16 / 1e4 + FLOW, FLOW, 400],
    "ddpm-plain": [0.04 + STOCHASTIC, 0.16 + STOCHASTIC, STOCHASTIC, 160_000],
    "acc-ode": [4096 / 1e8 + FLOW, FLOW, 640, 1024],
    "acc-sde": [64 / 1e4 + STOCHASTIC, STOCHASTIC, 6400],
    "ccl-thm1": [
        math.sqrt(2) * math.exp(-4), 6 * (0.04 + 1.5 * 4e-4), 0.002, math.log(200), 360_000
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_formulas(name):
    values = [line.value for line in evaluate(planner(name), SIZES)]
    assert values == pytest.approx(BY_HAND[name], rel=1e-12)


def test_every_planner_is_worked_out_or_computed():
    assert {p.id for p in PLANNERS} == {*BY_HAND, "path-kl"}
    assert all(p.assumptions and p.source and p.question.endswith("?") for p in PLANNERS)
    orders = {p.id for p in PLANNERS if {q.kind for q in p.quantities} == {"order"}}
    assert orders == set(BY_HAND)  # no constant is known


def test_the_computed_bound_holds_for_its_data():
    sizes = DiffusionSizes(dimension=1, steps=100)
    (line,) = evaluate(planner("path-kl"), sizes)
    law = exact_law(ExponentialOU(100), unequal_modes(2.0), from_noise=True)
    assert law.distances().tv <= line.value < 0.4
    wide = evaluate(planner("path-kl"), replace(sizes, dimension=4))[0].value
    assert wide == pytest.approx(2 * line.value)


def test_the_budget_names_its_largest_term():
    tell = planner("ccl-thm1").remark
    assert "more steps" in tell(SIZES)
    assert "a longer horizon" in tell(replace(SIZES, horizon=0.1))
    assert "better scores" in tell(replace(SIZES, score_error=10.0))


def test_an_image_is_beyond_the_theorems():
    for name in ("acc-ode", "acc-sde", "path-kl"):
        assert "says nothing" in evaluate(planner(name), DiffusionSizes())[0].label


def test_a_pilot_keeps_the_powers_of_the_theorem():
    found = line_pilot(planner("acc-sde"), DiffusionSizes(dimension=2, steps=100))
    assert found.constant == pytest.approx(100 * found.measured)
    assert found.value == pytest.approx(8 * found.measured)
    longer = line_pilot(planner("acc-sde"), DiffusionSizes(dimension=1, steps=200))
    assert 0.4 < longer.measured / found.measured < 0.7  # 1 / 2, and logarithms
    assert set(PILOTS) < {p.id for p in PLANNERS}


def test_there_is_no_pilot_for_a_computed_bound(capsys):
    with pytest.raises(InputError, match="there is no pilot for path-kl"):
        line_pilot(planner("path-kl"), SIZES)
    assert main(["plan", "path-kl", "--pilot"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "wrong",
    [{"dimension": 0}, {"steps": 1}, {"tv": 1.0}, {"score_error": -1.0}, {"lipschitz": 1.0},
     {"horizon": 0.0}, {"moment": -1.0}, {"divergence": 0.0}],
    ids=str,
)  # fmt: skip
def test_sizes_out_of_range_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        replace(SIZES, **wrong)


def test_plan_prints_formula_label_and_pilot(capsys):
    assert main(["plan", "acc-ode", "--dimension", "2", "--steps", "60", "--pilot"]) == 0
    out = capsys.readouterr().out
    assert "d^6 / T^2 + sqrt(d) eps + d epsJ = 0.0178" in out
    assert "order only: the constant is not known" in out
    assert "calibrated at d = 1" in out
