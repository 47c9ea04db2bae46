"""What the batteries of samplers and of posterior methods share: chains of one shape."""

import importlib
import inspect
import pkgutil

import torch

from wellposed.priors import GaussianMixture
from wellposed.rng import Stream
from wellposed.samplers.blocks import block_size

SHAPE = (4, 8)
BLOCK = block_size(SHAPE)
CALLS = []


def numbers(*shape, key="numbers"):
    return Stream(21).normal(shape, key)


def wiener(z, sigma):
    return z / (1 + sigma.reshape(-1, 1, 1) ** 2)


MIXTURE = GaussianMixture([0.4, 0.6], numbers(2, *SHAPE), 0.3)


class Counting(GaussianMixture):
    """The mixture; counts evaluations in ``CALLS``."""

    def denoise(self, z, sigma):
        CALLS.append(sigma)
        return super().denoise(z, sigma)

    def score(self, z, sigma):
        CALLS.append(sigma)
        return super().score(z, sigma)


COUNTING = Counting(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances)


def same(a, b):
    """Whether two states are equal bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b or (a != a and b != b)


def check_a_step_is_pure(method, begin):
    """Assert that a step changes nothing but what it returns, and can be made twice."""
    plan, state = begin(method)
    state = method.step(plan, state)
    kept = [x.clone() if isinstance(x, torch.Tensor) else x for x in state]
    first, second = method.step(plan, state), method.step(plan, state)
    assert same(tuple(state), kept)
    assert same(first, second)
    assert not same(first, state)


def check_the_file_opens_as_it_should(method):
    """Assert that the file of a method begins with what a reader needs."""
    text = importlib.import_module(type(method).__module__).__doc__
    for heading in ("Source ", "Update ", "Cost ", "Guarantee ", "Fails "):
        assert f"\n{heading}" in text


def installed(package, part):
    """Return the classes that the files of a package define and that have a part, by name."""
    found = {}
    for item in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        for name, cls in inspect.getmembers(importlib.import_module(item.name), inspect.isclass):
            if cls.__module__ == item.name and hasattr(cls, part):
                found[name] = cls
    return found
