"""Posterior samplers: one file a method, named as in the paper."""

from wellposed.posterior.denoising import AngleODE as AngleODE
from wellposed.posterior.denoising import ChainOU as ChainOU
from wellposed.posterior.denoising import HeatFlow as HeatFlow

__all__ = ["AngleODE", "ChainOU", "HeatFlow"]
