"""Draws on disk: finished shards of fixed size, and a checkpoint for what is under way.

    folder/draws-00000.safetensors   rows 0 to R - 1, R a whole number of blocks of chains
    folder/checkpoint.safetensors    finished rows of the shard under way, and the state of the
                                     block under way

The checkpoint tells how far the run is; a shard is written before the checkpoint that counts
it. So a run that is killed loses the time since its last checkpoint and nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from wellposed.errors import StoreError
from wellposed.run import Record, as_records
from wellposed.store import RunFolder, load_tree, save_tree

NUMBERS = 1 << 22  # of a shard: 32 MB in float64


class Tally(NamedTuple):
    """What is known about the finished blocks."""

    blocks: int = 0  # finished
    evaluations: int = 0  # for each draw
    acceptance: float | None = None  # sum over the blocks
    trace: tuple[Record, ...] = ()  # of the first block


@dataclass
class UnderWay:
    """Where a run stands: finished blocks, and the state of the next one."""

    tally: Tally = Tally()  # noqa: RUF009 - immutable
    state: Any = None  # None: the next block has not begun
    step: int = 0
    records: list[Record] = field(default_factory=list)


@dataclass
class Shelf:
    """Where the draws of one run are kept.

    Parameters
    ----------
    folder
        The run's folder, open.
    x
        The result, [n, *shape]: rows are filled here first.
    size
        Chains in a block.
    """

    folder: RunFolder
    x: Tensor
    size: int
    tally: Tally = Tally()  # noqa: RUF009 - immutable

    @property
    def rows(self) -> int:
        """Rows of a shard."""
        return self.size * max(1, NUMBERS // (self.size * max(1, math.prod(self.x.shape[1:]))))

    def due(self) -> bool:
        """Whether a checkpoint is due."""
        return self.folder.due()

    def save(self, state: Any, step: int, records: list[Record]) -> None:
        """Write a checkpoint of the block under way."""
        begin, end = self._open_rows(self.tally)
        self.folder.save((self.tally, self.x[begin:end].clone(), state), step, records)

    def add(self, tally: Tally) -> None:
        """Note that a block is finished; write the shard that it fills."""
        self.tally = tally
        end = tally.blocks * self.size
        if end % self.rows == 0 and end <= len(self.x):
            save_tree(self._path(end // self.rows - 1), self.x[end - self.rows : end])
            self.save(None, 0, [])

    def close(self, rows: int) -> None:
        """Write the last, partial shard of ``rows`` finished rows."""
        begin = rows - rows % self.rows
        if begin < rows:
            save_tree(self._path(begin // self.rows), self.x[begin:rows])

    def load(self) -> UnderWay:
        """Fill the rows that an earlier run finished, and tell where to go on."""
        kept = self.folder.checkpoint()
        if kept is None:
            return UnderWay()
        self.tally, rows, state = kept["state"]
        begin, end = self._open_rows(self.tally)
        self.load_rows(begin)
        self.x[begin:end] = rows.to(self.x.device)
        return UnderWay(self.tally, state, kept["step"], as_records(kept["records"]))

    def load_rows(self, count: int) -> None:
        """Fill the first rows from shards.

        Raises
        ------
        StoreError
            The shards hold fewer.
        FileError
            A shard is missing or damaged.
        """
        done = 0
        while done < count:
            rows = load_tree(self._path(done // self.rows))
            if len(rows) == 0 or done + len(rows) > len(self.x):
                raise StoreError(f"{self._path(done // self.rows)} does not fit this run")
            self.x[done : done + len(rows)] = rows.to(self.x.device)
            done += len(rows)

    def _open_rows(self, tally: Tally) -> tuple[int, int]:
        """Return the finished rows that are in no full shard."""
        end = min(tally.blocks * self.size, len(self.x))
        return end - end % self.rows, end

    def _path(self, shard: int) -> Path:
        return self.folder.path / f"draws-{shard:05d}.safetensors"
