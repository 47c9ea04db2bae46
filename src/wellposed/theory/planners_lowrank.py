"""The theorems on low-rank recovery, as planners.

Sources    Tu et al. (ICML 2016); Tong, Ma & Chi (JMLR 22, 2021; IEEE TSP 69, 2021); Xu, Shen,
           Chi & Ma (ICML 2023); Xiong, Ding & Du (ICLR 2024).
Notation   n1 x n2, rank r, kappa = sigma_1 / sigma_r, mu incoherence, n = max(n1, n2); m
           measurements, p share of observed entries, alpha share of gross errors. Errors are
           ||L R^T - M||_F <= epsilon sigma_r unless said otherwise; log is natural.
"""

from __future__ import annotations

import math

from wellposed.theory.planner import Planner, Quantity, Sizes

GAUSSIAN = "measurements <A_k, M> with independent standard Gaussian A_k"
KNOWN = "the rank is known"
SPECTRAL = "spectral start"


def _all(sizes: Sizes) -> float:
    return sizes.n1 * sizes.n2


def _measurements(sizes: Sizes) -> float:
    return (sizes.n1 + sizes.n2) * sizes.rank**2 * sizes.kappa**2


def _contraction(sizes: Sizes) -> float:
    """ln(0.15 / epsilon) / -ln(1 - 0.6 step_size), at least 0, rounded up."""
    rate = -math.log1p(-0.6 * sizes.step_size)
    return math.ceil(max(math.log(0.15 / sizes.epsilon), 0.0) / rate)


def _share(sizes: Sizes) -> float:
    s = sizes
    spread = max(s.mu * s.kappa**2, math.log(s.larger))
    return s.mu * s.rank**2 * s.kappa**2 * spread / s.smaller


def _escape(sizes: Sizes) -> float:
    return math.log(sizes.kappa) * math.log(sizes.kappa * sizes.larger) + sizes.digits


def _floor(sizes: Sizes) -> float:
    noise = sizes.sigma * math.sqrt(sizes.larger * sizes.rank)
    return sizes.kappa**2 * (noise + sizes.off_rank)


def _honest(sizes: Sizes) -> float:
    return sizes.digits / (1 - 2 * sizes.outliers) ** 2


_ENOUGH: Quantity[Sizes] = Quantity(
    "measurements m", ">~", "(n1 + n2) r^2 kappa^2", _measurements, most=_all
)  # fmt: skip

PLANNERS: tuple[Planner[Sizes], ...] = (
    Planner(
        "dof",
        "Are there too few measurements, whatever the method?",
        ("noiseless", "the matrix has rank r exactly"),
        (Quantity("measurements m", ">=", "(n1 + n2 - r) r",
                  lambda s: (s.n1 + s.n2 - s.rank) * s.rank, "count"),),
        "dimension of the set of rank-r matrices",
        "Necessary, not sufficient.",
    ),
    Planner(
        "gd-sensing",
        "How many measurements and steps does plain gradient descent need?",
        (GAUSSIAN, KNOWN, SPECTRAL, "a balancing term", "step size of order 1 / sigma_1"),
        (_ENOUGH, Quantity("steps", "<~", "kappa log(1/epsilon)", lambda s: s.kappa * s.digits)),
        "Tu, Boczar, Simchowitz, Soltanolkotabi & Recht, ICML 2016",
    ),
    Planner(
        "scaledgd-sensing",
        "How many measurements and steps does ScaledGD need?",
        (GAUSSIAN, KNOWN, SPECTRAL,
         "for the bound on steps: restricted isometry delta_2r <= 0.02 / (sqrt(r) kappa), which "
         "cannot be checked on data"),
        (_ENOUGH, Quantity("steps", "<=", "ln(0.15/epsilon) / -ln(1 - 0.6 step_size)",
                           _contraction, "bound")),
        "Tong, Ma & Chi, JMLR 22 (2021)",
    ),
    Planner(
        "scaledgd-completion",
        "What share of the entries must be observed?",
        ("entries observed independently with equal probability", KNOWN, SPECTRAL,
         "mu-incoherent singular vectors", "a projection that keeps the iterates incoherent"),
        (Quantity("share p", ">~", "mu r^2 kappa^2 max(mu kappa^2, log n) / min(n1, n2)", _share,
                  most=lambda s: 1.0),
         Quantity("steps", "<~", "log(1/epsilon)", lambda s: s.digits)),
        "Tong, Ma & Chi, JMLR 22 (2021)",
    ),
    Planner(
        "scaledgd-rpca",
        "What share of gross errors can robust PCA bear?",
        ("at most a share alpha of each row and each column is corrupted", KNOWN,
         "mu-incoherent singular vectors", "alpha is known"),
        (Quantity("share alpha", "<~", "1 / (mu r^1.5 kappa)",
                  lambda s: 1 / (s.mu * s.rank**1.5 * s.kappa), most=lambda s: 0.5),
         Quantity("steps", "<~", "log(1/epsilon)", lambda s: s.digits)),
        "Tong, Ma & Chi, JMLR 22 (2021)",
    ),
    Planner(
        "scaledsm",
        "How many more steps do gross errors in the measurements cost?",
        (GAUSSIAN, KNOWN, "truncated spectral start",
         "Polyak steps, which need the optimal value, or well-chosen geometric ones",
         "restricted isometry in the mixed norm, and an outlier bound"),
        (Quantity("steps, sensing", "<~", "log(1/epsilon) / (1 - 2 alpha)^2", _honest),
         Quantity("steps, quadratic sensing", "<~", "r log(1/epsilon) / (1 - 2 alpha)^2",
                  lambda s: s.rank * _honest(s)),
         Quantity("steps without scaling, sensing", "<~",
                  "kappa log(1/epsilon) / (1 - 2 alpha)^2", lambda s: s.kappa * _honest(s))),
        "Tong, Ma & Chi, IEEE TSP 69 (2021)",
    ),
    Planner(
        "scaledgd-lambda",
        "The rank is not known: how many steps does the damped method need?",
        (GAUSSIAN, "a symmetric positive semi-definite matrix", "small random start",
         "lambda of the order of the smallest singular value"),
        (Quantity("measurements m, times a power of kappa that is not given", ">~", "n r^2",
                  lambda s: s.larger * s.rank**2, most=_all),
         Quantity("steps", "<~", "log(kappa) log(kappa n) + log(1/epsilon)", _escape)),
        "Xu, Shen, Chi & Ma, ICML 2023",
    ),
    Planner(
        "scaledgd-lambda-noise",
        "What error do noise and the part beyond the rank leave?",
        (GAUSSIAN + ", scaled to keep norms on average",
         "a symmetric positive semi-definite matrix",
         "noise and the part beyond the rank are small enough", "stopped early"),
        (Quantity("||L R^T - M||_F", "<~", "kappa^2 (sigma sqrt(n r) + ||M - M_r||_F)", _floor),),
        "Xu, Shen, Chi & Ma, ICML 2023",
    ),
    Planner(
        "overparam-gd",
        "Why not plain gradient descent with a rank that is too large?",
        ("more columns than the rank", "random start"),
        (Quantity("steps, symmetric: at least", ">~", "1 / epsilon", lambda s: 1 / s.epsilon),
         Quantity("steps, asymmetric", "<~", "log(1/epsilon) / start^2",
                  lambda s: s.digits / s.start**2)),
        "Xiong, Ding & Du, ICLR 2024",
        "The symmetric rate is a lower bound: the squared error falls no faster than 1 / steps^2.",
    ),
)  # fmt: skip
