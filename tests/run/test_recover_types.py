"""What type checkers are told of ``recover`` is what it takes and returns."""

import inspect
import typing

import pytest

import wellposed as wp
from wellposed.result import Recovery
from wellposed.result_tensor import TensorRecovery
from wellposed.uncertainty import Posterior

KINDS = {
    typing.get_type_hints(f)["return"]: typing.get_type_hints(f)
    for f in typing.get_overloads(wp.recover)
}


@pytest.mark.parametrize("kind", [Posterior, Recovery, TensorRecovery])
def test_each_kind_of_result_has_its_kind_of_prior(kind):
    wanted = {
        Posterior: (wp.GaussianMixture, wp.Denoiser),
        Recovery: (wp.LowRank, wp.LowRankPlusSparse),
        TensorRecovery: (wp.LowTucker, wp.LowTuckerPlusSparse),
    }
    told = KINDS[kind]["prior"]
    kinds = typing.get_args(told) or (told,)
    assert all(issubclass(prior, kinds) for prior in wanted[kind])
    assert not any(issubclass(p, kinds) for k, ps in wanted.items() if k != kind for p in ps)


def test_the_options_of_all_kinds_are_the_arguments():
    signature = inspect.signature(wp.recover).parameters
    keywords = {n for n, p in signature.items() if p.kind is p.KEYWORD_ONLY}
    offered = [
        set(typing.get_type_hints(typing.get_args(hints["options"])[0])) for hints in KINDS.values()
    ]
    assert set.union(*offered) == keywords
    assert all(options < keywords for options in offered)
