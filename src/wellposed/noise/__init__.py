"""Noise models: how a measurement scatters around its mean A(x)."""

from wellposed.noise.base import Likelihood, Noise, ScaleMixture
from wellposed.noise.black_box import BlackBox
from wellposed.noise.gaussian import Gaussian
from wellposed.noise.heavy_tails import Huber, Laplace, StudentT
from wellposed.noise.outliers import SparseOutliers
from wellposed.noise.poisson import Poisson
from wellposed.noise.quantized import OneBit, Quantized
from wellposed.noise.tempered import Tempered

__all__ = [
    "BlackBox",
    "Gaussian",
    "Huber",
    "Laplace",
    "Likelihood",
    "Noise",
    "OneBit",
    "Poisson",
    "Quantized",
    "ScaleMixture",
    "SparseOutliers",
    "StudentT",
    "Tempered",
]
