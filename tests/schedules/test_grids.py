"""Grids of noise levels."""

import math

import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed.schedules import OU, VP, grids, linear_chain, theory_chain

GRIDS = [
    grids.log_uniform(40),
    grids.karras(40, 80.0, 0.002),
    grids.edm(40),
    grids.time_uniform(VP(), 40, 1.0, 1e-3),
    grids.time_uniform(linear_chain().process, 40, 1000.0, 1.0),
    grids.ou(40),
    grids.theory(40),
]


@pytest.mark.parametrize("grid", GRIDS)
def test_every_grid_descends_in_float64(grid):
    assert grid.dtype == torch.float64
    assert grid.shape == (40,)
    assert bool((grid.diff() < 0).all())
    assert float(grid[-1]) > 0
    closed = grids.with_zero(grid)
    assert closed.shape == (41,)
    assert float(closed[-1]) == 0


def test_log_uniform_has_one_ratio_and_exact_ends():
    grid = grids.log_uniform(9, 80.0, 0.02)
    ratios = grid[1:] / grid[:-1]
    assert torch.allclose(ratios, ratios[0].expand(8), rtol=1e-13)
    assert (float(grid[0]), float(grid[-1])) == (80.0, 0.02)


def test_karras_formula():
    n, rho = 12, 5.0
    want = [
        (3.0 ** (1 / rho) + i / (n - 1) * (0.1 ** (1 / rho) - 3.0 ** (1 / rho))) ** rho
        for i in range(n)
    ]
    np.testing.assert_allclose(grids.karras(n, 3.0, 0.1, rho), want, rtol=1e-13)
    assert torch.equal(grids.edm(n), grids.karras(n, 80.0, 0.002, 7.0))
    # large rho tends to equal ratios, rho = 1 is linear
    assert torch.allclose(grids.karras(n, 3.0, 0.1, 1e6), grids.log_uniform(n, 3.0, 0.1), rtol=1e-5)


def test_time_uniform_inverts_to_equal_times():
    for process, start, end in [(VP(), 1.0, 0.01), (OU(), 4.0, 0.02)]:
        t = process.time(grids.time_uniform(process, 21, start, end))
        assert torch.allclose(t, torch.linspace(start, end, 21, dtype=torch.float64), rtol=1e-12)
    assert float(grids.ou(5)[0]) == pytest.approx(math.sqrt(math.expm1(8.0)), rel=1e-14)


def test_theory_grid_is_the_theory_chain():
    np.testing.assert_allclose(grids.theory(60), theory_chain(60).sigma[60:0:-1], rtol=1e-14)


def test_from_list_keeps_either_direction():
    assert grids.from_list([0.0, 0.1, 5]).tolist() == [0.0, 0.1, 5.0]
    assert grids.from_list(np.array([5, 0.1, 0.0], dtype=np.float32)).dtype == torch.float64


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: grids.from_list([1.0]), "two or more"),
        (lambda: grids.from_list([[1.0, 0.5]]), "two or more"),
        (lambda: grids.from_list([1.0, float("nan")]), "NaN"),
        (lambda: grids.from_list([1.0, -0.1]), ">= 0"),
        (lambda: grids.from_list([1.0, 0.5, 0.5]), "neither"),
        (lambda: grids.from_list([1.0, 0.2, 0.5]), "neither"),
        (lambda: grids.with_zero(grids.with_zero(grids.edm(5))), "neither"),
        (lambda: grids.log_uniform(1), "count"),
        (lambda: grids.log_uniform(5, 1.0, 1.0), "sigma_max"),
        (lambda: grids.log_uniform(5, 1.0, 0.0), "sigma_min"),
        (lambda: grids.karras(5, 1.0, 0.1, 0.5), "rho"),
        (lambda: grids.time_uniform(VP(), 5, 0.1, 0.5), "start"),
        (lambda: grids.theory(10), "h < 1"),
    ],
)
def test_bad_arguments(bad, words):
    with pytest.raises(InputError, match=words):
        bad()
