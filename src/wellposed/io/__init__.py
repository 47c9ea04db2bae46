"""The edge where data come in and go out: readers with limits, atomic writers.

Everything here is numpy and the standard library (Pillow, pyarrow and ffmpeg are loaded when a
file needs them), so that a bad file is refused before the heavy libraries are loaded.
"""

from wellposed.io.cubes import Cube, holds_cube, read_cube
from wellposed.io.picture import Picture, read_picture, write_picture
from wellposed.io.source import Limits
from wellposed.io.stack import Stack
from wellposed.io.stacks import read_stack
from wellposed.io.table import Table
from wellposed.io.tables import read_table
from wellposed.io.write import write_array, write_arrays, write_csv, write_table

__all__ = [
    "Cube",
    "Limits",
    "Picture",
    "Stack",
    "Table",
    "holds_cube",
    "read_cube",
    "read_picture",
    "read_stack",
    "read_table",
    "write_array",
    "write_arrays",
    "write_csv",
    "write_picture",
    "write_table",
]
