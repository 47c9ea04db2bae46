"""Forward models: what was measured, and how."""

from wellposed.operators.adapters import from_deepinv, from_pylops, from_scipy
from wellposed.operators.base import LinearOperator, MatrixOperator, Operator
from wellposed.operators.blur import Blur
from wellposed.operators.callable import from_callable
from wellposed.operators.compose import Compose
from wellposed.operators.diagonal import Diagonal
from wellposed.operators.downsample import Downsample
from wellposed.operators.entries import Entries
from wellposed.operators.fourier import Fourier, cartesian_mask
from wellposed.operators.gamma import Gamma, nonlinear_blur
from wellposed.operators.generic import Identity, Matrix, random_projection
from wellposed.operators.hankel import Hankel
from wellposed.operators.jpeg import JPEG
from wellposed.operators.kernels import gaussian_kernel, motion_kernel
from wellposed.operators.mask import Mask
from wellposed.operators.phase import PhaseRetrieval, coded_mask
from wellposed.operators.radon import Radon
from wellposed.operators.sensing import DenseSensing, RankOneSensing
from wellposed.operators.tensor import TensorOperator, TensorSensing
from wellposed.operators.tensor_entries import TensorEntries

__all__ = [
    "JPEG",
    "Blur",
    "Compose",
    "DenseSensing",
    "Diagonal",
    "Downsample",
    "Entries",
    "Fourier",
    "Gamma",
    "Hankel",
    "Identity",
    "LinearOperator",
    "Mask",
    "Matrix",
    "MatrixOperator",
    "Operator",
    "PhaseRetrieval",
    "Radon",
    "RankOneSensing",
    "TensorEntries",
    "TensorOperator",
    "TensorSensing",
    "cartesian_mask",
    "coded_mask",
    "from_callable",
    "from_deepinv",
    "from_pylops",
    "from_scipy",
    "gaussian_kernel",
    "motion_kernel",
    "nonlinear_blur",
    "random_projection",
]
