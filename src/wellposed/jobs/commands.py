"""The command line of a job: what a report shows, to do the same again."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from wellposed.jobs.requests import Job

COMMAS = ("ranks",)  # told in one word; other tuples repeat their option
UNTOLD = ("digest",)  # of a manifest only


def command(job: Job, inputs: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """Return the command line of a job: its inputs by name, the seed, what is not as usual.

    Parameters
    ----------
    job
        What is done.
    inputs
        Of its manifest: files are told by their names instead of their paths.

    Examples
    --------
    >>> from wellposed.jobs.requests import TrainJob
    >>> command(TrainJob(("pictures",), crops=(32, 64)))
    'wellposed train pictures --crops 32 --crops 64 --seed 0'
    """
    names = {field: about["name"] for field, about in (inputs or {}).items()}
    words = ["wellposed", job.kind.partition("-")[0]]  # a cube is completed by complete
    if job.subject is not None:
        subject = names.get(job.subject, getattr(job, job.subject))
        words += (subject,) if isinstance(subject, str) else subject
    for field in dataclasses.fields(job):
        name, value = field.name, getattr(job, field.name)
        told = name == "seed" or value != field.default
        if told and name not in (job.subject, *UNTOLD):
            words += _option(name, names.get(name, value))
    return shlex.join(words)


def _option(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    if not isinstance(value, tuple):
        return [flag, str(value)]
    if name in COMMAS:
        return [flag, ",".join(map(str, value))]
    return [word for part in value for word in (flag, str(part))]
