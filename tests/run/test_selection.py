"""Rank and ridge by hold-out, and biases, against truths that are known."""

import pytest
import torch

import wellposed as wp
from wellposed import selection
from wellposed.lowrank.biases import SHRINKAGE, fit_biases
from wellposed.rng import Stream
from wellposed.selection import choose, hold_out, thinned


def table(rank, share=0.4, sigma=0.0, seed=0, shape=(120, 90)):
    stream = Stream(seed)
    n1, n2 = shape
    truth = stream.normal((n1, rank), "l") @ stream.normal((n2, rank), "r").T
    mask = stream.uniform(shape, "mask") < share
    y = truth + sigma * stream.normal(shape, "noise")
    return truth, wp.Problem(y[mask], wp.operators.Entries.from_mask(mask))


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_the_rank_of_a_clean_table_is_found(rank):
    truth, problem = table(rank)
    found = wp.recover(problem, wp.LowRank())
    assert (found.rank, found.ridge) == (rank, 0.0)
    assert (found.signal - truth).norm() < 1e-4 * truth.norm()


def test_noise_brings_a_ridge_and_does_not_raise_the_rank():
    truth, problem = table(3, sigma=2.0)
    found = wp.recover(problem, wp.LowRank())
    assert found.rank <= 3
    assert found.ridge > 0
    plain = wp.recover(problem, wp.LowRank(8))
    assert (found.signal - truth).norm() < 0.8 * (plain.signal - truth).norm()


def test_gross_errors_do_not_hide_the_rank():
    truth, clean = table(2, share=0.6, sigma=0.03)
    noise = wp.noise.SparseOutliers(0.05)
    y = noise.simulate(clean.y, Stream(1))
    found = wp.recover(wp.Problem(y, clean.operator, noise), wp.LowRank())
    assert found.rank == 2
    assert isinstance(found.method, wp.ScaledSubgradient)
    assert (found.signal - truth).norm() < 0.02 * truth.norm()
    unaware = wp.recover(wp.Problem(y, clean.operator), wp.LowRank())
    assert (unaware.signal - truth).norm() > 0.3 * truth.norm()


def test_what_the_prior_fixes_is_kept():
    _, problem = table(2, sigma=0.5)
    choice = choose(problem, wp.LowRank(ridge=3.0), None, Stream(0))
    assert {c.ridge for c in choice.tried} == {3.0}


def test_units_do_not_matter():
    _, problem = table(2, sigma=0.5)
    scaled = wp.Problem(problem.y * 1e4, problem.operator)
    one, other = wp.recover(problem, wp.LowRank()), wp.recover(scaled, wp.LowRank())
    assert one.rank == other.rank
    assert (other.signal / 1e4 - one.signal).norm() < 1e-5 * one.signal.norm()


def test_the_split_is_a_partition_and_depends_on_the_seed():
    _, problem = table(1)
    split = hold_out(problem, 0.1, Stream(1))
    fitted = {*zip(split.fit.operator.rows.tolist(), split.fit.operator.cols.tolist(), strict=True)}
    judged = {*zip(split.rows.tolist(), split.cols.tolist(), strict=True)}
    total = {*zip(problem.operator.rows.tolist(), problem.operator.cols.tolist(), strict=True)}
    assert fitted | judged == total
    assert not fitted & judged
    assert len(judged) == round(0.1 * len(total))
    other = hold_out(problem, 0.1, Stream(2))
    assert not torch.equal(other.rows, split.rows)


def test_the_part_of_a_large_table_keeps_its_density_and_its_values():
    _, problem = table(2)
    part = thinned(problem, Stream(3), 1000)
    assert 700 < part.y.numel() < 1400
    shape = part.operator.shape
    assert part.y.numel() / (shape[0] * shape[1]) == pytest.approx(0.4, abs=0.06)
    where = {float(v): (int(i), int(j)) for i, j, v in zip(*truth_cells(problem), strict=True)}
    lines = [
        (where[float(v)], (int(i), int(j))) for i, j, v in zip(*truth_cells(part), strict=True)
    ]
    for side in (0, 1):  # each line of the part is one line of the table
        pairs = {(old[side], new[side]) for old, new in lines}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    again = thinned(problem, Stream(3), 1000)
    assert torch.equal(part.y, again.y)
    assert not torch.equal(part.y[:50], thinned(problem, Stream(4), 1000).y[:50])
    assert thinned(problem, Stream(3), problem.y.numel()) is problem


def truth_cells(problem):
    return problem.operator.rows, problem.operator.cols, problem.y


def test_what_is_chosen_on_a_part_serves_the_whole(monkeypatch):
    truth, problem = table(3, sigma=1.0, shape=(300, 250))
    whole = wp.recover(problem, wp.LowRank())
    monkeypatch.setattr(selection, "LARGEST", 9000)
    part = wp.recover(problem, wp.LowRank())
    assert part.rank == whole.rank == 3
    assert 0.3 < part.ridge / whole.ridge < 3
    off = [float((r.signal - truth).norm()) for r in (part, whole)]
    assert off[0] < 1.05 * off[1]


def test_too_few_cells_or_another_operator_need_a_rank():
    few = wp.Problem([1.0, 2.0], wp.operators.Entries([0, 1], [0, 1], (2, 2)))
    with pytest.raises(wp.WellposedError, match="too few to hold out"):
        wp.recover(few, wp.LowRank())
    full = wp.Problem(torch.ones(4, 4), wp.operators.Identity((4, 4)))
    with pytest.raises(wp.WellposedError, match="cannot be chosen by hold-out"):
        wp.recover(full, wp.LowRank())


def test_biases_solve_their_ridge_problem():
    stream = Stream(4)
    mask = stream.uniform((30, 20), "mask") < 0.5
    operator = wp.operators.Entries.from_mask(mask)
    y = stream.normal(operator.shape_out, "y") + 3
    found = fit_biases(operator, y)
    design = torch.zeros(y.numel(), 50, dtype=torch.float64)
    design[torch.arange(y.numel()), operator.rows] = 1
    design[torch.arange(y.numel()), 30 + operator.cols] = 1
    normal = design.T @ design + SHRINKAGE * torch.eye(50, dtype=torch.float64)
    exact = torch.linalg.solve(normal, design.T @ (y - y.mean()))
    assert torch.allclose(torch.cat([found.rows, found.cols]), exact, atol=1e-6)


def test_a_row_without_entries_is_predicted_by_the_rest():
    mask = torch.ones(12, 8, dtype=torch.bool)
    mask[3] = False
    mask[:, 5] = False
    y = torch.arange(12.0)[:, None] + 10 * torch.arange(8.0)
    problem = wp.Problem(y[mask], wp.operators.Entries.from_mask(mask))
    found = wp.recover(problem, wp.LowRank(1, biases=True))
    assert torch.isfinite(found.signal).all()
    assert float(found.biases.rows[3]) == 0
    assert float(found.predict([3], [5])) == pytest.approx(found.biases.mean, abs=1e-6)
