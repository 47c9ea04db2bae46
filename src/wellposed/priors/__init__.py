"""What signals look like: low-rank models and diffusion priors."""

from wellposed.priors.lowrank import LowRank, LowRankPlusSparse

__all__ = ["LowRank", "LowRankPlusSparse"]
