"""Tucker algebra against einsum and autograd, for orders 3 to 5."""

import itertools

import pytest
import torch

import wellposed as wp
from wellposed.multilinear import (
    Tucker,
    at,
    check_ranks,
    contract,
    dense,
    hosvd,
    leading_vectors,
    mode_gram,
    mode_product,
    mode_spectra,
    norm,
    orthogonal,
    relative_error,
    slopes,
    unfold,
)
from wellposed.rng import Stream

ORDERS = [((7, 6, 5), (2, 3, 2)), ((5, 4, 6, 3), (2, 2, 3, 2)), ((4, 3, 3, 2, 5), (2, 3, 2, 2, 2))]
every = pytest.mark.parametrize(("sides", "ranks"), ORDERS, ids=["3", "4", "5"])
SMALL, LARGE = "abcde", "vwxyz"


def tucker(sides, ranks, seed=0):
    stream = Stream(seed)
    factors = [stream.normal(p, f"u{k}") for k, p in enumerate(zip(sides, ranks, strict=True))]
    return Tucker(stream.normal(ranks, "core"), tuple(factors))


def einsum(core, *factors):
    pairs = list(zip(LARGE, SMALL, strict=True))[: core.ndim]
    low, high = SMALL[: core.ndim], LARGE[: core.ndim]
    return torch.einsum(f"{low},{','.join(a + b for a, b in pairs)}->{high}", core, *factors)


def close(a, b, tol=1e-12):
    return float((a - b).norm()) <= tol * float(b.norm())


@every
def test_products_are_those_of_einsum(sides, ranks):
    t = tucker(sides, ranks)
    full = einsum(t.core, *t.factors)
    assert t.shape == sides
    assert t.ranks == ranks
    assert close(dense(t), full)
    assert close(norm(t), full.norm())
    back = einsum(full, *(u.T for u in t.factors))
    assert close(contract(full, t.factors), back)
    indices = torch.stack([torch.randint(0, n, (50,)) for n in sides], 1)
    assert close(at(t, indices, chunk=40), full[tuple(indices.T)])
    for k in range(len(sides)):
        assert torch.equal(unfold(mode_product(full, torch.eye(sides[k]).double(), k), k),
                           full.movedim(k, 0).flatten(1))  # fmt: skip


@every
def test_slopes_are_those_of_autograd(sides, ranks):
    t, y = tucker(sides, ranks), Stream(1).normal(sides, "y")
    leaves = [p.clone().requires_grad_() for p in (t.core, *t.factors)]
    loss = 0.5 * (einsum(*leaves) - y).square().sum()
    to_core, *to_factors = torch.autograd.grad(loss, leaves)
    found = slopes(dense(t) - y, t, range(len(sides)))
    assert close(found.core, to_core, 1e-10)
    for k, want in enumerate(to_factors):
        assert close(found.factors[k], want, 1e-10)
    assert set(slopes(y, t, (1,)).factors) == {1}
    wrong = slopes(dense(t) - 1.001 * y, t, range(len(sides)))  # the same test rejects it
    assert not close(wrong.core, to_core, 1e-10)


@every
def test_grams_are_those_of_the_kronecker_form(sides, ranks):
    t = tucker(sides, ranks)
    grams = {k: u.T @ u for k, u in enumerate(t.factors)}
    for k in range(len(sides)):
        others = [u for j, u in enumerate(t.factors) if j != k]
        wide = others[0]
        for u in others[1:]:
            wide = torch.kron(wide, u)
        b = wide @ unfold(t.core, k).T
        assert close(mode_gram(t.core, grams, k), b.T @ b)


@every
def test_the_same_tensor_in_other_coordinates(sides, ranks):
    t = tucker(sides, ranks)
    q = orthogonal(t)
    assert close(dense(q), dense(t))
    for k in range(len(sides)):
        values = torch.linalg.svdvals(unfold(dense(t), k))[: ranks[k]]
        assert close(mode_spectra(t)[k], values, 1e-10)
    assert relative_error(q, t) < 1e-14
    other = tucker(sides, ranks, 5)
    assert relative_error(other, t) == pytest.approx(relative_error(other, dense(t)), rel=1e-10)


@every
def test_hosvd_is_exact_on_its_ranks_and_quasi_optimal_off_them(sides, ranks):
    t = tucker(sides, ranks)
    assert relative_error(hosvd(dense(t), ranks), t) < 1e-7
    noisy = dense(t) + 0.1 * Stream(2).normal(sides, "noise")
    start = hosvd(noisy, ranks)
    problem = wp.Problem(noisy, wp.operators.Identity(sides))
    best = wp.recover(problem, wp.LowTucker(ranks), wp.HOOI(), tol=1e-12, steps=200)
    error, least = float((dense(start) - noisy).norm()), float((best.signal - noisy).norm())
    assert least <= error <= len(sides) ** 0.5 * least


def test_hooi_never_loses_energy_and_beats_every_neighbour():
    y = Stream(3).normal((8, 7, 6), "y")
    problem = wp.Problem(y, wp.operators.Identity((8, 7, 6)))
    found = wp.recover(problem, wp.LowTucker((2, 2, 2)), wp.HOOI(), tol=1e-13, steps=300)
    assert all(b <= a + 1e-12 for a, b in itertools.pairwise(found.trace.residual))
    least = float((found.signal - y).norm())
    for seed in range(20):
        near = [
            torch.linalg.qr(u + 0.05 * Stream(seed).normal(u.shape, f"{k}"))[0]
            for k, u in enumerate(found.factors)
        ]
        other = Tucker(contract(y, near), tuple(near))
        assert float((dense(other) - y).norm()) > least


def test_leading_vectors_are_the_largest():
    basis = torch.linalg.qr(Stream(0).normal((6, 6), "b"))[0]
    values = torch.tensor([5.0, -9.0, 3.0, 1.0, 0.5, 2.0], dtype=torch.float64)
    found = leading_vectors(basis @ torch.diag(values) @ basis.T, 2)
    assert close((found.T @ basis[:, [0, 2]]).abs(), torch.eye(2).double())


@pytest.mark.parametrize(
    ("ranks", "message"),
    [((2, 2), "2 ranks"), ((2, 2, 9), "rank of mode 2 is 9"), ((0, 1, 1), "whole number")],
)
def test_ranks_that_do_not_fit_are_refused(ranks, message):
    with pytest.raises(wp.WellposedError, match=message):
        check_ranks(ranks, (5, 5, 5))
