"""What the exact priors refuse, and what they accept in more than one form."""

import dataclasses

import numpy as np
import pytest
import torch

from wellposed.errors import InputError
from wellposed.priors import Empirical, Gaussian, GaussianMixture, LowRankPlusIdentity

NAN = float("nan")
TWO = [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
EYE = np.eye(3)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (lambda: GaussianMixture([0.5, 0.6], TWO, 1.0), "sum to 1.1, expected 1"),
        (lambda: GaussianMixture([1.5, -0.5], TWO, 1.0), "expected >= 0"),
        (lambda: GaussianMixture([0.5, NAN], TWO, 1.0), "weights has 1 NaN"),
        (lambda: GaussianMixture([1.0], TWO, 1.0), r"weights has shape \[1\], expected \[2\]"),
        (lambda: GaussianMixture([0.5, 0.5], [1.0, 2.0], 1.0), r"expected \[K, \*shape\]"),
        (lambda: GaussianMixture([0.5, 0.5], [[NAN], [1.0]], 1.0), "means has 1 NaN"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, 0.0), "variance 0, expected > 0"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, NAN), "covariances has 1 NaN"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, [1.0, -1.0]), "variance -1"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, np.zeros((2, 3))), "variance 0"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, np.ones((2, 4))), "covariances has shape"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, np.ones(3)), "covariances has shape"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, [EYE]), "covariances has shape"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, [EYE, -EYE]), "not positive definite"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, np.ones((3, 3))), "not positive definite"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, EYE + np.eye(3, k=1)), "not symmetric"),
        (lambda: GaussianMixture([0.5, 0.5], TWO, [LowRankPlusIdentity(EYE, 1.0)]), "list of 1"),
        (
            lambda: GaussianMixture([0.5, 0.5], TWO, [LowRankPlusIdentity(np.ones((4, 1)), 1)] * 2),
            "factor has shape",
        ),
        (
            lambda: GaussianMixture([0.5, 0.5], np.zeros((2, 2)), [[2.0, 1.0], [1.0, 2.0]]),
            "ambiguous(.|\n)*diag_embed",
        ),
        (lambda: Gaussian([], 1.0), "at least one element"),
        (lambda: Gaussian([0.0, 1j], 1.0), "real numbers"),
        (lambda: Gaussian([0.0, 0.0], -1.0), "variance -1"),
        (lambda: Gaussian([0.0, 0.0], [1.0, 2.0, 3.0]), "covariance has shape"),
        (lambda: Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "not positive definite"),
        (lambda: Gaussian([0.0, 0.0], [[1.0, NAN], [NAN, 1.0]]), "covariance has 2 NaN"),
        (lambda: Gaussian([0.0, 0.0], "wide"), "expected numbers"),
        (lambda: LowRankPlusIdentity(np.ones((2, 3)), 1.0), "k <= d"),
        (lambda: LowRankPlusIdentity(np.ones((3, 1)), 0.0), "variance"),
        (lambda: LowRankPlusIdentity([[NAN]], 1.0), "factor has 1 NaN"),
        (lambda: Empirical([1.0, 2.0]), r"expected \[K, \*shape\]"),
        (lambda: Empirical([[NAN]]), "data has 1 NaN"),
        (lambda: Empirical([[1.0], [2.0]], [0.4, 0.4]), "sum to 0.8"),
        (lambda: Empirical([[1.0]]).denoise(torch.zeros(1, 1), 0.0), "sigma is 0"),
        (lambda: Gaussian([0.0], 1.0).denoise(torch.zeros(1, 2), 1.0), r"expected \[B, 1\]"),
        (lambda: Gaussian([0.0], 1.0).score(torch.zeros(1, 1), -1.0), "sigma is -1"),
        (lambda: Gaussian([0.0], 1.0).log_density(torch.zeros(1), 1.0), r"expected \[B, 1\]"),
        (
            lambda: Gaussian([0.0], 1.0).denoise_jvp(torch.zeros(2, 1), 1.0, torch.zeros(1, 1)),
            "v has shape",
        ),
        (lambda: Gaussian([0.0], 1.0).sample(0), "n is 0"),
        (lambda: Gaussian([0.0], 1.0).sample(1, seed=-1), "seed is -1"),
    ],
)
def test_refused(bad, words):
    with pytest.raises(InputError, match=words):
        bad()


def test_one_matrix_for_all_in_as_many_dimensions_as_components():
    means = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    c = torch.tensor([[1.0, -0.5], [-0.5, 2.0]], dtype=torch.float64)
    z = torch.tensor([[0.3, 0.4]], dtype=torch.float64)
    tied = GaussianMixture([0.5, 0.5], means, c)
    each = GaussianMixture([0.5, 0.5], means, c.expand(2, 2, 2))
    assert torch.allclose(tied.denoise(z, 0.5), each.denoise(z, 0.5), rtol=1e-13)
    v = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)  # not symmetric: diagonals
    rows = GaussianMixture([0.5, 0.5], means, v)
    each = GaussianMixture([0.5, 0.5], means, torch.diag_embed(v))
    assert torch.allclose(rows.denoise(z, 0.5), each.denoise(z, 0.5), rtol=1e-13)


def test_forms_of_the_same_prior():
    z = torch.tensor([[0.3, 0.4, -1.0]], dtype=torch.float64)
    forms = [
        0.5,
        [0.5, 0.5],
        np.full((2, 3), 0.5),
        0.5 * EYE,
        np.stack([0.5 * EYE] * 2),
        [LowRankPlusIdentity(np.zeros((3, 1)), 0.5)] * 2,
    ]
    want = GaussianMixture([0.25, 0.75], TWO, 0.5).denoise(z, 0.7)
    for form in forms:
        have = GaussianMixture(np.array([0.25, 0.75]), np.array(TWO), form).denoise(z, 0.7)
        assert torch.allclose(have, want, rtol=1e-13)


def test_priors_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Gaussian([0.0], 1.0).mean = torch.ones(1)
