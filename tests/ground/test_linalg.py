"""Small solves and truncated SVDs against dense references."""

import pytest
import torch

from wellposed.errors import InputError
from wellposed.linalg import (
    Callback,
    cholesky,
    lanczos_svd,
    randomized_svd,
    solve_gram,
)
from wellposed.rng import Stream

STREAM = Stream(11)


def decaying(n1, n2, ratio=0.7, dtype=torch.float64):
    u = torch.linalg.qr(STREAM.normal((n1, min(n1, n2)), "u", dtype=dtype))[0]
    v = torch.linalg.qr(STREAM.normal((n2, min(n1, n2)), "v", dtype=dtype))[0]
    s = ratio ** torch.arange(min(n1, n2), dtype=dtype)
    return (u * s) @ v.T


@pytest.mark.parametrize("svd", [randomized_svd, lanczos_svd])
@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (9, 9)])
def test_truncated_svd_agrees_with_the_dense_one(svd, shape):
    matrix = decaying(*shape)
    found = svd(matrix, 4, STREAM)
    u, s, vt = torch.linalg.svd(matrix)
    assert torch.allclose(found.s, s[:4], rtol=1e-9)
    best = (u[:, :4] * s[:4]) @ vt[:4]
    assert ((found.u * found.s) @ found.v.T - best).norm() < 1e-8 * best.norm()
    again = svd(matrix, 4, STREAM)
    assert all(bool((a == b).all()) for a, b in zip(found, again, strict=True))


def test_one_sketch_without_powers_is_not_enough_for_a_flat_spectrum():
    matrix = decaying(80, 80, ratio=0.97)
    exact = torch.linalg.svdvals(matrix)[:4]
    assert (randomized_svd(matrix, 4, STREAM, depth=0).s - exact).abs().max() > 1e-3
    assert (randomized_svd(matrix, 4, STREAM, depth=6).s - exact).abs().max() < 1e-4


def test_svd_needs_only_products():
    dense = decaying(30, 20)
    implicit = Callback(
        dense.shape, dense.dtype, dense.device, lambda x: dense @ x, lambda x: dense.T @ x
    )
    assert torch.allclose(randomized_svd(implicit, 3, STREAM).s, torch.linalg.svdvals(dense)[:3])


def test_full_rank_is_served_by_both():
    matrix = decaying(6, 5)
    for svd in (randomized_svd, lanczos_svd):
        assert torch.allclose(svd(matrix, 5, STREAM).s, torch.linalg.svdvals(matrix), atol=1e-12)


@pytest.mark.parametrize("rank", [0, 6, 2.5])
def test_rank_outside_the_shape_is_refused(rank):
    with pytest.raises(InputError, match="expected a whole number from 1 to 5"):
        randomized_svd(decaying(6, 5), rank, STREAM)


def test_solve_gram_is_the_damped_normal_equation():
    factor, right_side = STREAM.normal((20, 4), "f"), STREAM.normal((7, 4), "b")
    matrix = factor.T @ factor + 0.3 * torch.eye(4, dtype=torch.float64)
    expected = right_side @ torch.linalg.inv(matrix)
    assert torch.allclose(solve_gram(factor, right_side, 0.3), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_singular_gram_is_damped_just_enough(dtype):
    factor = STREAM.normal((20, 3), "f", dtype=dtype)
    singular = torch.cat([factor, factor[:, :1]], 1)
    gram = singular.T @ singular
    lower = cholesky(gram)
    assert torch.isfinite(lower).all()
    off = (lower @ lower.T - gram).norm() / gram.norm()
    assert off < 1e4 * torch.finfo(dtype).eps
    sound = factor.T @ factor
    assert torch.equal(cholesky(sound), torch.linalg.cholesky(sound))


def test_zero_and_non_finite_grams_do_not_loop():
    zero = torch.zeros(3, 3, dtype=torch.float64)
    assert torch.isfinite(cholesky(zero)).all()
    assert torch.isnan(cholesky(zero + torch.nan)).all()
