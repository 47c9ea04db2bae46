"""One file a prior: a safetensors file with the weights, its config and its card as JSON.

    header metadata   "wellposed.prior"  version of this format
                      "config"           network, shape, sigma_data, range of noise levels; of a
                                         converted network what it predicts, and the chain's betas
                      "card"             data, licence, training, losses; free, for people
    tensors           the parameters of the network, float16, bfloat16 or float32

Everything that the file says is checked before memory is taken for it: the config is bounded,
the names and shapes that it asks for are those in the file, and the file is as long as they are.
Nothing is unpickled, no class or function is looked up by a name in the file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from wellposed.errors import FileError, InputError
from wellposed.files import atomic_write, file_error
from wellposed.priors.foreign.config import ForeignConfig
from wellposed.priors.foreign.prior import ForeignPrior
from wellposed.priors.network.configs import NetworkConfig
from wellposed.priors.network.dit import DiTConfig
from wellposed.priors.network.mlp import MLPConfig
from wellposed.priors.network.prior import NetworkPrior, check_weights
from wellposed.priors.network.unet import UNetConfig
from wellposed.schedules import Chain

FORMAT = "1"
NETWORKS: dict[str, type[Any]] = {
    "unet": UNetConfig, "dit": DiTConfig, "mlp": MLPConfig, "foreign": ForeignConfig,
}  # fmt: skip
Saved = NetworkPrior | ForeignPrior
_KEY = "wellposed.prior"
_NUMBERS = {"F16", "BF16", "F32"}
_DAMAGED = "it is damaged, or was not written by wellposed"


def save_prior(
    path: str | Path, prior: Saved, card: Mapping[str, Any], *, half: bool = True
) -> None:
    """Write a prior into one file, atomically.

    Parameters
    ----------
    path
        The file; its folder exists.
    prior
        Its weights must be finite in the dtype of the file.
    card
        What people should know of it, plain JSON.
    half
        Write float16 instead of float32.

    Raises
    ------
    InputError
        A weight is too large for the dtype.
    FileError
        The file cannot be written.
    """
    dtype = torch.float16 if half else torch.float32
    weights = {name: w.detach().to("cpu", dtype) for name, w in prior.weights.items()}
    for name, weight in weights.items():
        if not bool(torch.isfinite(weight).all()):
            raise InputError(f"the weight {name} is too large for {dtype}")
    kind = next(name for name, cls in NETWORKS.items() if type(prior.config) is cls)
    config = {
        "network": {"kind": kind, **dataclasses.asdict(prior.config)},  # type: ignore[call-overload]
        "shape": list(prior.shape),
        "sigma_data": prior.sigma_data,
        "sigma_min": prior.sigma_min,
        "sigma_max": prior.sigma_max,
    }
    if isinstance(prior, ForeignPrior):
        config |= {"predicts": prior.kind, "betas": prior.chain and list(prior.chain.beta)}
    metadata = {_KEY: FORMAT, "config": json.dumps(config), "card": json.dumps(dict(card))}
    data = save({n: w.contiguous() for n, w in weights.items()}, metadata=metadata)
    atomic_write(Path(path), lambda file: _write(file, data))


def read_prior(path: str | Path, *, half: bool = False) -> Saved:
    """Read a prior from its file.

    Parameters
    ----------
    path
        What ``save_prior`` wrote.
    half
        Compute the network in bfloat16.

    Raises
    ------
    FileError
        The file is missing, truncated, not a prior, or holds other weights than its config says.
    """
    path = Path(path)
    metadata, weights = _read(path)
    config = _json(path, metadata, "config")
    try:
        network, shape = _network(config), tuple(config["shape"])
        spread, low, high = (float(config[k]) for k in ("sigma_data", "sigma_min", "sigma_max"))
        if "predicts" not in config:
            return NetworkPrior(network, weights, shape, spread, low, high, half)
        if not isinstance(network, ForeignConfig):
            raise InputError(f"a {type(network).__name__} does not predict {config['predicts']!r}")
        chain = Chain(tuple(config["betas"])) if config["betas"] else None
        return ForeignPrior(network, weights, shape, config["predicts"], chain, spread, low, high)
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise _refused(path, error) from None


def read_card(path: str | Path) -> dict[str, Any]:
    """Return the card of a prior's file, without its weights.

    Raises
    ------
    FileError
        As ``read_prior``.
    """
    path = Path(path)
    with _opened(path) as file:
        return _json(path, _metadata(path, file), "card")


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    with _opened(path) as file:
        metadata = _metadata(path, file)
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        try:
            config = _network(_json(path, metadata, "config"))
            check_weights(config, {n: tuple(s.get_shape()) for n, s in slices.items()})
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise _refused(path, error) from None
        strange = {s.get_dtype() for s in slices.values()} - _NUMBERS
        if strange:
            raise _refused(path, f"it holds {sorted(strange)}, expected {sorted(_NUMBERS)}")
        return metadata, {name: file.get_tensor(name) for name in slices}


def _opened(path: Path) -> Any:
    try:
        with path.open("rb"):
            pass
        return safe_open(str(path), framework="pt")
    except OSError as error:
        raise file_error(path, "read", error) from error
    except SafetensorError as error:
        raise _refused(path, error) from None


def _metadata(path: Path, file: Any) -> dict[str, str]:
    metadata: dict[str, str] = file.metadata() or {}
    if metadata.get(_KEY) != FORMAT:
        raise _refused(path, f"it holds no prior of format {FORMAT}")
    return metadata


def _json(path: Path, metadata: dict[str, str], part: str) -> dict[str, Any]:
    try:
        found = json.loads(metadata[part])
    except (KeyError, ValueError, RecursionError) as error:
        raise _refused(path, f"its {part} is no JSON: {error!r}") from None
    if not isinstance(found, dict):
        raise _refused(path, f"its {part} is a {type(found).__name__}, expected an object")
    return found


def _network(config: dict[str, Any]) -> NetworkConfig:
    fields = dict(config["network"])
    kind = fields.pop("kind")
    if kind not in NETWORKS:
        raise InputError(f"the network is {kind!r}, expected one of {sorted(NETWORKS)}")
    network: NetworkConfig = NETWORKS[kind](**fields)
    return network


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def _refused(path: Path, error: object) -> FileError:
    what = error.what if isinstance(error, InputError) else str(error)
    return FileError(
        f"{path} cannot be used as a prior: {what}", _DAMAGED, "take another copy, or train again"
    )
