"""Samplers of diffusion priors: one file a method, named as in the paper."""
