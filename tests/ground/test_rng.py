"""Streams are pure functions of their key."""

import pytest
import torch

from wellposed.errors import InputError
from wellposed.rng import Stream


def test_same_key_same_noise_and_any_other_key_other_noise():
    base = Stream(1).normal((50,), "a", 0)
    assert torch.equal(base, Stream(1).normal((50,), "a", 0))
    others = [
        Stream(2).normal((50,), "a", 0),
        Stream(1, item=1).normal((50,), "a", 0),
        Stream(1).at(block=1).normal((50,), "a", 0),
        Stream(1).normal((50,), "b", 0),
        Stream(1).normal((50,), "a", 1),
    ]
    assert all(not torch.equal(base, other) for other in others)


def test_noise_has_the_stated_law():
    # False alarm below 1e-6: five standard errors each.
    x = Stream(3).normal((200_000,), "law")
    u = Stream(3).uniform((200_000,), "law")
    assert abs(float(x.mean())) < 5 / 200_000**0.5
    assert abs(float(x.var()) - 1) < 5 * (2 / 200_000) ** 0.5
    assert abs(float(u.mean()) - 0.5) < 5 * (1 / 12 / 200_000) ** 0.5
    assert float(u.min()) >= 0
    assert float(u.max()) < 1


def test_purposes_cannot_be_confused_by_their_spelling():
    assert not torch.equal(Stream(1).normal((9,), "a/1", 0), Stream(1).normal((9,), "a", 10))


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(InputError, match="seed"):
        Stream(seed)
