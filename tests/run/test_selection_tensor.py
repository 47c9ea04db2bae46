"""Multilinear ranks by hold-out."""

import pytest
import torch

import wellposed as wp
from wellposed.growth import widened
from wellposed.multilinear import Tucker, dense, relative_error
from wellposed.rng import Stream
from wellposed.selection_tensor import choose_ranks, hold_out_cells

RANKS = (3, 2, 4)


def cube(noise, seed=0, sides=(24, 22, 20), ranks=RANKS):
    stream = Stream(seed)
    factors = [
        torch.linalg.qr(stream.normal(pair, f"{k}"))[0]
        for k, pair in enumerate(zip(sides, ranks, strict=True))
    ]
    truth = Tucker(stream.normal(ranks, "core"), tuple(factors))
    full = dense(truth)
    noisy = full + noise * full.std() * stream.normal(sides, "noise")
    mask = stream.uniform(sides, "mask") < 0.3
    return wp.Problem(noisy[mask], wp.operators.TensorEntries.from_mask(mask)), truth


@pytest.mark.parametrize("seed", [72201, 72202])
def test_the_true_ranks_are_found(seed):
    """A rung too many, d <= 76 numbers more, fits noise: on m = 10 600 cells it costs d / 2m of
    the error, 0.4 %. On j = 1 180 cells that judge this has a standard deviation of
    (d / m j)^(1/2), 0.25 %; to win it would have to gain a whole per cent, 5 of them: once in 10^7.
    """
    problem, truth = cube(0.1, seed, (36, 34, 32))
    found = wp.recover(problem, wp.LowTucker(), truth=truth, steps=100)
    assert found.ranks == RANKS
    assert found.choice[0].ranks == (1, 1, 1)
    assert found.choice[0].error > 3 * min(c.error for c in found.choice)  # what it tells apart


def test_the_split_is_disjoint_and_repeatable():
    problem, _ = cube(0.0)
    fit, judge, _ = hold_out_cells(problem, 0.1, Stream(1))
    again = hold_out_cells(problem, 0.1, Stream(1))[1]
    cells = torch.cat([fit.operator.indices, judge.operator.indices])
    assert len(cells.unique(dim=0)) == len(cells) == problem.y.numel()
    assert torch.equal(judge.operator.indices, again.operator.indices)


def test_a_widened_fit_is_the_same_tensor():
    narrow, wide = (cube(0.0, s, ranks=r)[1] for s, r in ((0, (2, 2, 2)), (1, (3, 2, 4))))
    both = widened(narrow, wide)
    assert both.ranks == (3, 2, 4)
    assert relative_error(Tucker(both.core, both.factors), dense(narrow)) < 1e-13
    for factor in both.factors:
        assert torch.allclose(factor.T @ factor, torch.eye(factor.shape[1]).double())


def test_interruption_is_passed_on():
    problem, _ = cube(0.1)
    seen = []

    def stop(candidate):
        seen.append(candidate)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        choose_ranks(problem, wp.TensorScaledGD(), Stream(0), stop)


def test_ranks_are_not_chosen_where_nothing_can_be_left_out():
    full = wp.Problem(torch.ones(4, 4, 4), wp.operators.Identity((4, 4, 4)))
    with pytest.raises(wp.WellposedError, match="cannot be chosen by hold-out from TensorIdentity"):
        wp.recover(full, wp.LowTucker())
    few = wp.operators.TensorEntries([[0, 0, 0], [1, 1, 1]], (3, 3, 3))
    with pytest.raises(wp.WellposedError, match="too few"):
        wp.recover(wp.Problem(torch.ones(2), few), wp.LowTucker())
