"""The verb ``load_prior``: a prior by its name, or from its file or folder."""

from __future__ import annotations

from pathlib import Path

from wellposed.errors import FileError
from wellposed.priors.checkpoint import read_prior
from wellposed.priors.diffusion import DiffusionPrior
from wellposed.priors.foreign.diffusers import read_diffusers
from wellposed.priors.foreign.prior import ForeignPrior
from wellposed.priors.network import NetworkPrior

FILE = "prior.safetensors"  # in the folder of a training
_SHIPPED = Path(__file__).parents[1] / "data" / "priors"


def shipped() -> dict[str, Path]:
    """Return the priors that come with the package: name and file."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.safetensors"))}


def place_of(name_or_path: str | Path) -> Path:
    """Return the file or folder of a prior; whether it exists is not looked at."""
    path = shipped().get(str(name_or_path), Path(name_or_path))
    return path / FILE if (path / FILE).is_file() else path


def load_prior(
    name_or_path: str | Path, *, shape: tuple[int, ...] | None = None, half: bool = False
) -> DiffusionPrior:
    """Load a trained prior.

    Parameters
    ----------
    name_or_path
        "photo" (colour photographs) or "fashion" (grey clothes, 32 x 32), which come with the
        package; the file or folder that ``wellposed train`` or ``convert`` wrote; or a folder
        that diffusers saved: config.json and scheduler_config.json with safetensors weights, or
        a pipeline's folder with ``unet`` and ``scheduler``.
    shape
        Of one signal, where the network takes several: "photo" works on [3, H, W] with H and W
        divisible by 16. None takes the shape in the file.
    half
        Compute one of our networks in bfloat16: about twice as fast where the processor has it.

    Returns
    -------
    DiffusionPrior
        For images from -1 to 1, unless it was trained on other data.

    Raises
    ------
    FileError
        Nothing is there, a file is damaged, or it describes what cannot be loaded.
    InputError
        The network does not take this shape.
    """
    path = place_of(name_or_path)
    prior: NetworkPrior | ForeignPrior
    if path.is_file():
        prior = read_prior(path, half=half)
    elif path.is_dir() and not half and _diffusers(path):
        prior = read_diffusers(path)
    else:
        raise FileError(
            f"there is no prior {str(name_or_path)!r}",
            "it is neither a name, nor a file, nor a folder that can be read this way",
            f"take one of {', '.join(shipped())}, or check the path",
        )
    return prior if shape is None else prior.at(shape)


def _diffusers(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("config.json", "model_index.json", "unet"))
