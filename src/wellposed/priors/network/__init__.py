"""Neural networks as priors: a U-Net, a transformer, a perceptron."""

from wellposed.priors.network.configs import NetworkConfig, fresh_weights, parameter_shapes
from wellposed.priors.network.dit import DiTConfig
from wellposed.priors.network.mlp import MLPConfig
from wellposed.priors.network.precondition import Preconditioned
from wellposed.priors.network.prior import NetworkPrior
from wellposed.priors.network.unet import UNetConfig

__all__ = [
    "DiTConfig",
    "MLPConfig",
    "NetworkConfig",
    "NetworkPrior",
    "Preconditioned",
    "UNetConfig",
    "fresh_weights",
    "parameter_shapes",
]
