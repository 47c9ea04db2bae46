"""Iteration counts against the condition number: flat for scaled methods, growing for plain ones.

Quick versions run on one seed; ``make certify`` takes medians over five seeds that were drawn
after the code was frozen.
"""

import math
import statistics

import pytest
import torch
from ground_truth import completion, count, errors, quadratic, sensing, truth

import wellposed as wp
from wellposed.lowrank.robust_pca import Hard, Soft, keep_largest
from wellposed.lowrank.scaled_gd_lambda import FixedDamping, SmallRandom
from wellposed.lowrank.setting import Factors, relative_error
from wellposed.rng import Stream

KAPPAS = (1, 5, 10, 20)
GROSS = wp.noise.SparseOutliers(0.2)


def counts(make, method, seeds, kappas=KAPPAS, accuracy=1e-6):
    """Median steps to the accuracy, for each condition number."""
    return [
        statistics.median(count(method, make(k, s), accuracy, 1500) for s in seeds) for k in kappas
    ]


def spread(values):
    return (max(values) - min(values)) / statistics.median(values)


def small_table(kappa, seed):
    return completion(200, 5, kappa, 0.35, seed)


def table(kappa, seed):  # A1s
    return completion(500, 10, kappa, 0.3, seed)


def large_table(kappa, seed):  # A1
    return completion(1000, 10, kappa, 0.2, seed)


def gaussian(kappa, seed):  # A1b
    return sensing(60, 5, kappa, 3000, seed)


def gross(kappa, seed):  # A3
    return sensing(50, 5, kappa, 2000, seed, noise=GROSS)


def energies(kappa, seed):  # A4
    return quadratic(60, 3, kappa, 8 * 60 * 3, seed, noise=GROSS)


def overstated(kappa, seed):  # A11
    return sensing(60, 3, kappa, 1800, seed, symmetric=True, rank=6)


def test_scaled_gd_is_flat_and_gradient_descent_grows():
    assert spread(counts(small_table, wp.ScaledGD(), [1])) <= 0.15
    plain = counts(small_table, wp.GradientDescent(), [1], kappas=(1, 10))
    assert plain[1] / plain[0] >= 10**0.8


def test_scaled_subgradient_is_flat_and_subgradient_grows():
    assert spread(counts(energies, wp.ScaledSubgradient(), [1])) <= 0.1
    plain = counts(energies, wp.Subgradient(), [1], kappas=(1, 10))
    assert plain[1] > 3 * plain[0]


def test_damping_by_the_residual_is_flat_when_the_rank_is_overstated():
    def small(kappa, seed):
        return sensing(30, 2, kappa, 600, seed, symmetric=True, rank=4)

    assert spread(counts(small, wp.ScaledGDLambda(), [1], (1, 10, 100))) <= 0.15


def test_fixed_damping_stalls_where_residual_damping_does_not():
    case = sensing(30, 2, 100, 600, 1, symmetric=True, rank=4)
    fixed = wp.ScaledGDLambda(0.3, FixedDamping(0.01), SmallRandom(1e-8))
    assert min(errors(fixed, case, 300)) > 1e-6
    assert min(errors(wp.ScaledGDLambda(), case, 150)) < 1e-12


@pytest.mark.parametrize("sigma", [1e-4, 1e-5])
def test_the_noise_floor_is_that_of_the_noise(sigma):
    case = completion(200, 5, 10, 0.35, 2, noise=wp.noise.Gaussian(sigma))
    floor = errors(wp.ScaledGD(), case, 80)[-1] / sigma
    twice = completion(200, 5, 10, 0.35, 2, noise=wp.noise.Gaussian(2 * sigma))
    assert errors(wp.ScaledGD(), twice, 80)[-1] / (2 * sigma) == pytest.approx(floor, rel=0.02)


SEEDS = (8301, 8302, 8303, 8304, 8305)


@pytest.mark.certify
@pytest.mark.parametrize(
    ("make", "method"),
    [
        (large_table, wp.ScaledGD()),
        (table, wp.ScaledGD()),
        (gaussian, wp.ScaledGD()),
        (gross, wp.ScaledSubgradient()),
        (energies, wp.ScaledSubgradient()),
        (overstated, wp.ScaledGDLambda()),
    ],
    ids=["A1", "A1s", "A1b", "A3", "A4", "A11"],
)
def test_counts_do_not_depend_on_the_condition_number(make, method):
    found = counts(make, method, SEEDS)
    print(make.__name__, found)
    assert spread(found) <= 0.1


@pytest.mark.certify
def test_gradient_descent_grows_with_the_condition_number():
    found = counts(table, wp.GradientDescent(), SEEDS, kappas=(1, 20))
    print("A1s, gradient descent", found)
    assert math.log(found[1] / found[0]) / math.log(20) >= 0.8


def corrupted(kappa, seed, multiple, n):  # A2
    """A tenth of the cells is off; multiple None: as in the authors' script, far beyond M."""
    low = truth(n, n, 10, kappa, seed)
    dense, stream = low.left @ low.right.mT, Stream(seed, 3)
    if multiple is None:
        sparse = keep_largest(stream.normal((n, n), "sparse"), 0.1)
    else:
        hit = stream.uniform((n, n), "where") < 0.1
        size = multiple * dense.abs().mean()
        sparse = hit * size * (2 * stream.uniform((n, n), "how much") - 1)
    return wp.Problem(dense + sparse, wp.operators.Identity((n, n))), low


def separation_counts(threshold, kappa, multiple, n=500):
    found = []
    for seed in SEEDS:
        problem, low = corrupted(kappa, seed, multiple, n)
        prior, method = wp.LowRankPlusSparse(10, 0.1), wp.RobustPCA(threshold=threshold)
        run = wp.recover(problem, prior, method, truth=low, tol=1e-9, steps=200)
        reached = (run.trace.error <= 1e-6).nonzero()[0]
        found.append(int(reached[0]) + 1 if len(reached) else 10**6)
    return found


@pytest.mark.certify
@pytest.mark.parametrize(
    ("threshold", "multiple", "n"),
    [(Hard(), None, 1000), (Soft(), None, 500), (Soft(), 1.0, 500), (Soft(), 10.0, 500)],
    ids=["hard, the script's size", "soft", "soft, small corruptions", "soft, large corruptions"],
)
def test_robust_pca_hardly_depends_on_the_condition_number(threshold, multiple, n):  # A2
    one, twenty = (
        statistics.median(separation_counts(threshold, kappa, multiple, n)) for kappa in (1, 20)
    )
    print("A2", threshold, multiple, n, one, twenty)
    assert twenty <= 1.3 * one


@pytest.mark.certify
def test_hard_thresholds_arrive_on_smaller_matrices_too():  # A2; 1.3 is not met there
    one, twenty = (separation_counts(Hard(), kappa, None) for kappa in (1, 20))
    print("A2", Hard(), one, twenty)
    assert max(one + twenty) < 10**6


@pytest.mark.certify
def test_fixed_damping_has_a_floor_at_large_condition_numbers():  # A10, A11
    floors, clean = [], []
    for seed in SEEDS:
        case = sensing(60, 3, 100, 1800, seed, symmetric=True, rank=6)
        fixed = wp.ScaledGDLambda(0.3, FixedDamping(0.01), SmallRandom(1e-8))
        floors.append(min(errors(fixed, case, 600)))
        clean.append(min(errors(wp.ScaledGDLambda(), case, 200)))
    print("A10 floors", floors, "A11", clean)
    assert 1.3e-4 / 3 <= statistics.median(floors) <= 1.3e-4 * 3
    assert max(clean) <= 1e-12


@pytest.mark.certify
def test_an_overstated_rank_costs_at_most_twice_the_oracles_error():
    sigmas = (1e-5, 1e-4, 1e-3)
    found = {6: [], 3: []}
    for sigma in sigmas:
        for rank in found:
            off = []
            for seed in SEEDS:
                case = sensing(
                    60,
                    3,
                    100,
                    1800,
                    seed,
                    noise=wp.noise.Gaussian(sigma),
                    symmetric=True,
                    rank=rank,
                )
                fit = wp.recover(case.problem, case.prior, wp.ScaledGDLambda(), tol=1e-9)
                off.append(relative_error(Factors(fit.left, fit.right), case.truth))
            found[rank].append(statistics.median(off))
    print("over-stated rank", found)
    slope = math.log(found[6][-1] / found[6][0]) / math.log(sigmas[-1] / sigmas[0])
    assert abs(slope - 1) <= 0.1
    assert all(a <= 2 * b for a, b in zip(found[6], found[3], strict=True))
    assert not torch.isnan(torch.tensor(found[6])).any()
