"""Recover signals from incomplete, corrupted, nonlinear or quantized measurements.

Three nouns, two verbs: a ``Problem`` (what was measured, how, with which noise), a prior (what
signals look like) and a method go into ``recover``; a prior and a method go into ``sample``.

Names are loaded when they are first used: the command line answers ``--help`` and refuses bad
input without waiting for torch. A new public name stands in two places below.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wellposed._version import __version__ as __version__

if TYPE_CHECKING:  # for readers and type checkers
    from wellposed import bilinear as bilinear
    from wellposed import noise as noise
    from wellposed import operators as operators
    from wellposed import posterior as posterior
    from wellposed import schedules as schedules
    from wellposed.bilinear.self_calibration import SelfCalibration as SelfCalibration
    from wellposed.density import log_likelihood as log_likelihood
    from wellposed.draws import Draws as Draws
    from wellposed.errors import DoubtWarning as DoubtWarning
    from wellposed.errors import WellposedError as WellposedError
    from wellposed.evaluation.calibration import calibrate as calibrate
    from wellposed.lowrank.alternating import AlternatingMinimization as AlternatingMinimization
    from wellposed.lowrank.count_scaled_gd import CountScaledGD as CountScaledGD
    from wellposed.lowrank.gradient_descent import GradientDescent as GradientDescent
    from wellposed.lowrank.hooi import HOOI as HOOI
    from wellposed.lowrank.overparametrized import OverparametrizedGD as OverparametrizedGD
    from wellposed.lowrank.robust_pca import RobustPCA as RobustPCA
    from wellposed.lowrank.scaled_gd import ScaledGD as ScaledGD
    from wellposed.lowrank.scaled_gd_lambda import ScaledGDLambda as ScaledGDLambda
    from wellposed.lowrank.scaled_subgradient import ScaledSubgradient as ScaledSubgradient
    from wellposed.lowrank.subgradient import Subgradient as Subgradient
    from wellposed.lowrank.tensor_gradient_descent import (
        TensorGradientDescent as TensorGradientDescent,
    )
    from wellposed.lowrank.tensor_robust_pca import TensorRobustPCA as TensorRobustPCA
    from wellposed.lowrank.tensor_scaled_gd import TensorScaledGD as TensorScaledGD
    from wellposed.lowrank.unrolled import UnrolledRobustPCA as UnrolledRobustPCA
    from wellposed.multilinear import Tucker as Tucker
    from wellposed.posterior.dpnp import DPnP as DPnP
    from wellposed.posterior.dpnp_smc import DPnPSMC as DPnPSMC
    from wellposed.posterior.dps import DPS as DPS
    from wellposed.posterior.lgd_mc import LGDMC as LGDMC
    from wellposed.priors.denoiser import Denoiser as Denoiser
    from wellposed.priors.empirical import Empirical as Empirical
    from wellposed.priors.gaussian import Gaussian as Gaussian
    from wellposed.priors.load import load_prior as load_prior
    from wellposed.priors.lowrank import LowRank as LowRank
    from wellposed.priors.lowrank import LowRankPlusSparse as LowRankPlusSparse
    from wellposed.priors.mixture import GaussianMixture as GaussianMixture
    from wellposed.priors.symmetrized import Symmetrized as Symmetrized
    from wellposed.priors.tucker import LowTucker as LowTucker
    from wellposed.priors.tucker import LowTuckerPlusSparse as LowTuckerPlusSparse
    from wellposed.problem import Problem as Problem
    from wellposed.recovery import recover as recover
    from wellposed.result import Recovery as Recovery
    from wellposed.result_tensor import TensorRecovery as TensorRecovery
    from wellposed.resuming import resume as resume
    from wellposed.run import Status as Status
    from wellposed.samplers.accelerated_ode import AcceleratedODE as AcceleratedODE
    from wellposed.samplers.accelerated_ode import AcceleratedODEReuse as AcceleratedODEReuse
    from wellposed.samplers.accelerated_ode_exact import AcceleratedODEExact as AcceleratedODEExact
    from wellposed.samplers.accelerated_sde import AcceleratedSDE as AcceleratedSDE
    from wellposed.samplers.annealed_langevin import AnnealedLangevin as AnnealedLangevin
    from wellposed.samplers.ddim import DDIM as DDIM
    from wellposed.samplers.ddpm import DDPM as DDPM
    from wellposed.samplers.dpm_solver import DPMSolverPP2M as DPMSolverPP2M
    from wellposed.samplers.heun import Heun as Heun
    from wellposed.samplers.langevin import MALA as MALA
    from wellposed.samplers.langevin import ULA as ULA
    from wellposed.samplers.ou import ExponentialOU as ExponentialOU
    from wellposed.samplers.pf_euler import PFEuler as PFEuler
    from wellposed.sampling import sample as sample
    from wellposed.uncertainty import Posterior as Posterior

_HOMES = {  # for Python: public name, and the module that holds it
    "AcceleratedODE": "samplers.accelerated_ode",
    "AcceleratedODEExact": "samplers.accelerated_ode_exact",
    "AcceleratedODEReuse": "samplers.accelerated_ode",
    "AcceleratedSDE": "samplers.accelerated_sde",
    "AlternatingMinimization": "lowrank.alternating",
    "AnnealedLangevin": "samplers.annealed_langevin",
    "CountScaledGD": "lowrank.count_scaled_gd",
    "DDIM": "samplers.ddim",
    "DDPM": "samplers.ddpm",
    "DPMSolverPP2M": "samplers.dpm_solver",
    "DPS": "posterior.dps",
    "DPnP": "posterior.dpnp",
    "DPnPSMC": "posterior.dpnp_smc",
    "Denoiser": "priors.denoiser",
    "Draws": "draws",
    "Empirical": "priors.empirical",
    "ExponentialOU": "samplers.ou",
    "Gaussian": "priors.gaussian",
    "GaussianMixture": "priors.mixture",
    "GradientDescent": "lowrank.gradient_descent",
    "HOOI": "lowrank.hooi",
    "Heun": "samplers.heun",
    "LGDMC": "posterior.lgd_mc",
    "LowRank": "priors.lowrank",
    "LowRankPlusSparse": "priors.lowrank",
    "LowTucker": "priors.tucker",
    "LowTuckerPlusSparse": "priors.tucker",
    "MALA": "samplers.langevin",
    "OverparametrizedGD": "lowrank.overparametrized",
    "PFEuler": "samplers.pf_euler",
    "Posterior": "uncertainty",
    "Problem": "problem",
    "Recovery": "result",
    "RobustPCA": "lowrank.robust_pca",
    "ScaledGD": "lowrank.scaled_gd",
    "ScaledGDLambda": "lowrank.scaled_gd_lambda",
    "ScaledSubgradient": "lowrank.scaled_subgradient",
    "SelfCalibration": "bilinear.self_calibration",
    "Status": "run",
    "Subgradient": "lowrank.subgradient",
    "Symmetrized": "priors.symmetrized",
    "TensorGradientDescent": "lowrank.tensor_gradient_descent",
    "TensorRecovery": "result_tensor",
    "TensorRobustPCA": "lowrank.tensor_robust_pca",
    "TensorScaledGD": "lowrank.tensor_scaled_gd",
    "Tucker": "multilinear",
    "ULA": "samplers.langevin",
    "UnrolledRobustPCA": "lowrank.unrolled",
    "DoubtWarning": "errors",
    "WellposedError": "errors",
    "load_prior": "priors.load",
    "calibrate": "evaluation.calibration",
    "log_likelihood": "density",
    "recover": "recovery",
    "resume": "resuming",
    "sample": "sampling",
}
_MODULES = ("bilinear", "noise", "operators", "posterior", "schedules")

__all__ = ["__version__", *_HOMES, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
