"""Posterior samplers: one file a method, named as in the paper."""
