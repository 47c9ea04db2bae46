"""The verb ``load_prior``: a prior from its file or folder."""

from __future__ import annotations

from pathlib import Path

from wellposed.errors import FileError
from wellposed.priors.diffusion import DiffusionPrior


def load_prior(path: str | Path) -> DiffusionPrior:
    """Load a pretrained prior.

    Parameters
    ----------
    path
        A folder that diffusers saved: config.json and scheduler_config.json with safetensors
        weights, or a pipeline's folder with ``unet`` and ``scheduler``.

    Returns
    -------
    DiffusionPrior
        For images from -1 to 1.

    Raises
    ------
    FileError
        Nothing is there, a file is damaged, or it describes what cannot be loaded.
    """
    path = Path(path)
    if path.is_dir():
        from wellposed.priors.foreign.diffusers import read_diffusers

        return read_diffusers(path)
    raise FileError(
        f"there is no folder {path}",
        "a prior is loaded from a folder that diffusers saved",
        "check the path",
    )
