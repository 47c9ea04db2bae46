"""``wellposed separate``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def separate(
    stack: Path,
    /,
    *,
    rank: Literal["auto"] | int = "auto",
    method: Literal["matrix", "tensor", "unrolled", "unrolled-matrix"] = "matrix",
    ranks: str | None = None,
    tune: str = "self",
    threshold: float | None = None,
    max_frames: int | None = None,
    stride: int = 1,
    scale: int = 1,
    grey: bool = False,
    out: Path | None = None,
    seed: int = 0,
    steps: int = 500,
    tol: float = 1e-4,
    checkpoint_seconds: float = 30.0,
) -> int:
    """Separate a video or a stack of pictures into background and foreground.

    Parameters
    ----------
    stack
        A video, a folder of pictures, or an array [frames, height, width] with NaN where missing.
    rank
        Rank of the background: 1 for a still camera; auto: by hold-out.
    method
        matrix: a frame a column; tensor: height, width and colour are modes of their own;
        unrolled: the tensor method in a fixed number of tuned layers;
        unrolled-matrix: the matrix method likewise, with numbers of its own for each layer.
    ranks
        Tensor methods: ranks of height, width (and colour), as in 60,80,3; left out: full.
    tune
        unrolled methods: self (on this stack), none, or the net.safetensors of an earlier run.
    threshold
        Distance from the background at which foreground begins (pictures: black 0, white 1);
        left out: five robust standard deviations of the noise.
    max_frames
        Stop after so many frames.
    stride
        Take every stride-th frame.
    scale
        Average squares of scale x scale pixels.
    grey
        Drop the colour.
    out
        Folder of the run; left out: the next one under runs/.
    seed
        Seed of all random choices.
    steps
        Largest number of steps of a fit.
    tol
        Relative tolerance of the stopping rules.
    checkpoint_seconds
        Time between checkpoints.
    """
    from wellposed.cli.done import tell
    from wellposed.cli.output import watched
    from wellposed.cli.words import whole_numbers
    from wellposed.jobs.requests import SeparateJob
    from wellposed.jobs.separate import separate as carry_out

    job = SeparateJob(
        str(stack),
        rank=None if rank == "auto" else rank,
        method=method,
        tune=tune,
        ranks=None if ranks is None else whole_numbers(ranks, "ranks"),
        threshold=threshold,
        max_frames=max_frames,
        stride=stride,
        scale=scale,
        grey=grey,
        seed=seed,
        steps=steps,
        tol=tol,
    )
    done = carry_out(job, out, progress=watched(), checkpoint_seconds=checkpoint_seconds)
    return tell(done)
