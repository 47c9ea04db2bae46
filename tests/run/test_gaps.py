"""Gaps: how they are found, what is hidden in their shape, and which ranks and starts follow."""

import numpy as np
import pytest
import torch

import wellposed as wp
from wellposed import gaps
from wellposed.baselines import UNJUDGED, without_model
from wellposed.multilinear import Tucker, dense
from wellposed.operators.entries import Entries
from wellposed.operators.tensor_entries import TensorEntries
from wellposed.rng import Stream
from wellposed.run import Driver
from wellposed.selection_tensor import choose_ranks
from wellposed.task import Task

SIDES = (16, 12, 10)


def by_chance(sides, share, seed=0):
    return Stream(seed).uniform(sides, "mask") < share


def with_ends(sides=(30, 12, 24), seed=0):
    """Each sixth slice of mode 0 lacks its last third along mode 2."""
    mask = torch.ones(sides, dtype=torch.bool)
    mask[seed % 6 :: 6, :, -sides[2] // 3 :] = False
    return mask


def peaks(sides, rank, seed):
    """A tensor whose factors are positive, as of spectra and concentrations in time."""
    stream = Stream(seed)
    factors = [stream.uniform((n, rank), f"factor {k}") for k, n in enumerate(sides)]
    return torch.einsum("ia,ja,ka->ijk", *factors)


def observe(full, mask):
    cells = Entries if full.ndim == 2 else TensorEntries
    return wp.Problem(full[mask], cells.from_mask(mask))


# ---- how missing cells lie


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_neighbours_are_counted_as_in_the_dense_mask(mode):
    mask = by_chance(SIDES, 0.6)
    mask[3:8, 2:6, 4:] = False
    lines = mask.movedim(mode, 0).numpy()
    share, chance = gaps._Grid(TensorEntries.from_mask(mask))._beside(mode)
    assert share == pytest.approx((~lines[:-1] & ~lines[1:]).sum() / (~lines[:-1]).sum())
    m, counts = mask.sum(), [mask.movedim(k, 0).flatten(1).sum(1) for k in range(3)]
    q = torch.einsum("i,j,k->ijk", *(c.double() / m for c in counts)) * m
    q = q.movedim(mode, 0)
    expected = ((1 - q[:-1]) * (1 - q[1:])).sum() / (1 - q[:-1]).sum()
    assert chance == pytest.approx(float(expected))


@pytest.mark.parametrize("share", [0.02, 0.2, 0.8])
def test_chance_does_not_lie_together_however_uneven_the_slices(share):
    """The excess of chance has a standard deviation below 0.02 here; 0.25 is never reached."""
    sides = (60, 50)
    assert gaps.together(Entries.from_mask(by_chance(sides, share))) is None
    rows = torch.linspace(0.02, 2, 60)[:, None] * share  # some rows are nearly empty
    assert gaps.together(Entries.from_mask(by_chance(sides, rows.clamp_max(0.98)))) is None
    mask = by_chance((20, 20, 20), share)
    mask[:, 5] = False  # a slice without any cell is left out
    assert gaps.together(TensorEntries.from_mask(mask)) is None


def test_blocks_and_ends_lie_together():
    found = gaps.together(TensorEntries.from_mask(with_ends()))
    assert (found.mode, found.share) == (1, 1.0)
    mask = by_chance((8, 8), 0.5).repeat_interleave(5, 0).repeat_interleave(5, 1)
    assert gaps.together(Entries.from_mask(mask)).share > 0.8
    assert gaps.together(wp.operators.Identity((4, 4))) is None


# ---- what is hidden


def test_a_piece_lands_as_a_rolled_mask_does():
    mask = by_chance(SIDES, 0.7)
    mask[2:6, :, 7:] = False
    grid = gaps._Grid(TensorEntries.from_mask(mask))
    low, high = torch.tensor([2, 0, 7]), torch.tensor([6, 12, 10])
    box = torch.zeros_like(mask)
    box[2:6, :, 7:] = True
    for mode, shift in ((0, 5), (0, -2), (2, -7)):
        hit = grid.indices[grid._landed(low, high, mode, shift)]
        expected = (torch.roll(box & ~mask, shift, mode) & mask).nonzero()
        assert torch.equal(hit, expected)


def test_runs_reach_from_one_observed_cell_to_the_next():
    mask = by_chance(SIDES, 0.5)
    grid = gaps._Grid(TensorEntries.from_mask(mask))
    cells = grid._missing(Stream(1).uniform((50,), "cells"))
    assert not mask[tuple(cells.T)].any()
    for cell, low, high in zip(cells, *grid._runs(cells), strict=True):
        for k in range(3):
            line = mask[tuple(slice(None) if j == k else int(cell[j]) for j in range(3))]
            assert not line[low[k] : high[k]].any()
            assert low[k] == 0 or line[low[k] - 1]
            assert high[k] == len(line) or line[high[k]]


def test_ends_are_hidden_as_ends_or_as_stretches_of_their_length():
    mask = with_ends()
    split = gaps.split(TensorEntries.from_mask(mask), 0.1, Stream(2), "hold-out", "")
    assert split.alike
    hidden = torch.zeros_like(mask)
    cells = mask.nonzero()
    hidden[tuple(cells[split.judge].T)] = True
    assert 0 < hidden.sum() <= 2 * (~mask).sum()
    assert torch.equal(hidden.any(1), hidden.all(1))  # all of mode 1, as the gaps
    ended = hidden[:, 0, -8:].all(1)
    whole = mask.all(2).all(1)
    assert (hidden[whole][:, 0].any(1) == ended[whole]).all()  # slices without a gap get one
    kept = mask & ~hidden
    for k in range(3):
        counts = [m.movedim(k, 0).flatten(1).sum(1) for m in (kept, mask)]
        assert (counts[0] >= gaps.POORER * counts[1].min()).all()
    both = torch.cat([split.kept, split.judge]).sort().values
    assert torch.equal(both, torch.arange(len(cells)))


def test_a_split_by_chance_is_the_plain_one():
    cells = TensorEntries.from_mask(by_chance(SIDES, 0.5))
    split = gaps.split(cells, 0.1, Stream(4), "hold-out", "")
    order = Stream(4).permutation(len(cells.indices), "hold-out")
    aside = round(0.1 * len(order))
    assert not split.alike
    assert torch.equal(split.judge, order[:aside])
    assert torch.equal(split.kept, order[aside:].sort().values)


# ---- without a model


def test_means_and_offsets_agree_with_numpy():
    full, mask = peaks(SIDES, 3, 0), by_chance(SIDES, 0.6)
    mask[3, 4] = False  # a line along mode 2 without a cell
    known, cells = np.where(mask, full, np.nan), torch.tensor([[3, 4, 5], [0, 1, 2]])
    found = without_model(observe(full, mask), cells)
    mean = np.nanmean(known)
    assert found["the mean"].tolist() == pytest.approx([mean] * 2)
    slices = np.nanmean(known, (0, 2))
    assert found["the mean of each slice of mode 1"].tolist() == pytest.approx(slices[[4, 1]])
    lines = np.nanmean(known[0, 1])
    assert found["the mean over mode 2"].tolist() == pytest.approx([mean, lines])
    flat = observe(full[0], mask[0])
    assert "the mean of each row" in without_model(flat, torch.tensor([[1, 2]]))


# ---- ranks and starts


def scene(seed, sides=(32, 32, 24), block=8):
    """Ranks (2, 2, 2), and in each block of mode 0 x mode 1 something of its own; some are lost.

    What is of a block's own is seen by cells of the block only: in a lost one nothing tells it.
    """
    stream = Stream(seed)
    common = peaks(sides, 2, seed)
    count = sides[0] // block
    own = torch.zeros(sides, dtype=torch.float64)
    for i in range(count):
        for j in range(count):
            parts = [stream.normal((n,), f"{i} {j} {n}") for n in (block, block + 0, sides[2])]
            at = slice(i * block, (i + 1) * block), slice(j * block, (j + 1) * block)
            own[at] = torch.einsum("i,j,k->ijk", *parts)
    lost = torch.zeros(count, count, dtype=torch.bool)
    for i in range(count):
        lost[i, int(stream.uniform((1,), f"lost {i}") * count)] = True
    mask = ~lost.repeat_interleave(block, 0).repeat_interleave(block, 1)
    mask = mask[:, :, None].expand(sides)
    return common, common + 0.15 * common.std() * own, mask


def fitted(full, mask, ranks):
    found = wp.recover(observe(full, mask), wp.LowTucker(ranks), steps=100)
    return found.signal[~mask]


def test_gaps_hidden_alike_choose_ranks_that_chance_overstates(monkeypatch):
    common, full, mask = scene(73101)
    problem = observe(full, mask)
    choice = choose_ranks(problem, wp.TensorScaledGD(), Stream(0))
    assert choice.best.ranks == (2, 2, 2)
    off = (fitted(full, mask, choice.best.ranks) - common[~mask]).norm()
    monkeypatch.setattr(gaps._Grid, "together", lambda self: None)
    plain = choose_ranks(problem, wp.TensorScaledGD(), Stream(0))
    assert min(plain.best.ranks) > 2  # by chance the blocks' own parts pay
    assert off < 0.5 * (fitted(full, mask, plain.best.ranks) - common[~mask]).norm()


@pytest.mark.parametrize("seed", [73111, 73112, 73113])
def test_missing_ends_of_an_exact_tensor_are_found(seed):
    full, mask = peaks((30, 12, 24), 3, seed), with_ends(seed=seed)
    found = wp.recover(observe(full, mask), wp.LowTucker(), steps=300, tol=1e-7)
    assert all(3 <= r <= 4 for r in found.ranks)  # without noise a rung too many costs nothing
    assert found.doubts == ()
    assert (found.signal - full)[~mask].norm() < 1e-3 * full[~mask].norm()


@pytest.mark.parametrize("seed", [73111, 73112, 73113])
def test_ranks_that_are_given_too_large_start_from_smaller_ones(seed):
    full, mask = peaks((30, 12, 24), 3, seed), with_ends(seed=seed)
    problem, prior = observe(full, mask), wp.LowTucker((5, 5, 5))
    found = wp.recover(problem, prior, steps=300)
    assert (found.signal - full)[~mask].norm() < 1e-3 * full[~mask].norm()
    method = wp.TensorScaledGD()  # its own start takes the gap for zeros, and they stay
    plan = method.prepare(Task(problem, prior))
    alone = Driver(300, 1e-6).run(method, plan, method.init(plan, Stream(0))).reading.value
    assert (dense(Tucker(*alone)) - full)[~mask].norm() > 0.5 * full[~mask].norm()


@pytest.mark.parametrize("seed", [73121, 73122])
def test_a_table_with_missing_ends_gets_the_rank_of_its_gaps(seed, monkeypatch):
    stream = Stream(seed)
    left, right = stream.uniform((150, 2), "left"), stream.uniform((2, 40), "right")
    full = left @ right + 0.01 * stream.normal((150, 40), "noise")
    mask = torch.ones(full.shape, dtype=torch.bool)
    mask[seed % 5 :: 5, -15:] = False
    off, ranks = [], []
    for blind in (False, True):
        if blind:
            monkeypatch.setattr(gaps._Grid, "together", lambda self: None)
        found = wp.recover(observe(full, mask), wp.LowRank())
        ranks.append(found.rank)
        off.append(float((found.signal - left @ right)[~mask].norm() / full[~mask].norm()))
    assert ranks[0] == 2
    assert off[0] < 0.05


def test_where_no_ranks_help_the_result_says_so():
    noise = Stream(73131).normal((15, 12, 8), "noise") + 1
    mask = ~(torch.arange(15) % 5 == 0)[:, None] | (torch.arange(12) < 8)
    mask = mask[:, :, None].expand(noise.shape)
    with pytest.warns(wp.DoubtWarning, match="No low-rank model does better"):
        found = wp.recover(observe(noise, mask), wp.LowTucker(), steps=50)
    assert "that of the mean" in found.doubts[0]


def test_gaps_that_leave_nothing_like_them_are_told():
    """Two blocks on the diagonal: a row that lost what the others lack would have no cell."""
    mask = torch.block_diag(*[torch.ones(15, 15)] * 2).bool()
    full = Stream(0).normal((30, 1), "l") @ Stream(0).normal((1, 30), "r")
    with pytest.warns(wp.DoubtWarning, match="Missing cells lie together"):
        found = wp.recover(observe(full, mask), wp.LowRank())
    assert found.doubts == (UNJUDGED,)


@pytest.mark.parametrize("order", [2, 3])
def test_slices_without_a_cell_are_named(order):
    full, mask = peaks(SIDES, 1, 0), by_chance(SIDES, 0.8)
    mask[:, 4:6] = False
    if order == 2:
        full, mask = full[:, :, 0], mask[:, :, 0]
    prior = wp.LowRank(1) if order == 2 else wp.LowTucker((1, 1, 1))
    name = "columns" if order == 2 else "slices of mode 1"
    with pytest.warns(wp.DoubtWarning, match=f"2 of the 12 {name} have no observed cell"):
        found = wp.recover(observe(full, mask), prior)
    assert "4, 5." in found.doubts[0]


def test_the_result_keeps_its_doubts_on_disk(tmp_path):
    full, mask = peaks(SIDES, 1, 0), by_chance(SIDES, 0.8)
    mask[:, 4] = False
    for _ in range(2):  # the second is read back
        with pytest.warns(wp.DoubtWarning, match="no observed cell"):
            found = wp.recover(observe(full, mask), wp.LowTucker((1, 1, 1)), out=tmp_path / "run")
        assert len(found.doubts) == 1
