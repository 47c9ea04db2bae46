"""What signals look like: low-rank models and diffusion priors."""

from wellposed.priors.convert import from_eps, from_flow, from_score, from_v, from_x0
from wellposed.priors.covariance import LowRankPlusIdentity
from wellposed.priors.denoiser import Denoiser
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.empirical import Empirical
from wellposed.priors.exact import ExactPrior
from wellposed.priors.gaussian import Gaussian
from wellposed.priors.lowrank import LowRank, LowRankPlusSparse
from wellposed.priors.mixture import GaussianMixture
from wellposed.priors.network import NetworkPrior
from wellposed.priors.symmetrized import Symmetrized

__all__ = [
    "Denoiser",
    "DiffusionPrior",
    "Empirical",
    "ExactPrior",
    "Gaussian",
    "GaussianMixture",
    "LowRank",
    "LowRankPlusIdentity",
    "LowRankPlusSparse",
    "NetworkPrior",
    "Symmetrized",
    "from_eps",
    "from_flow",
    "from_score",
    "from_v",
    "from_x0",
]
