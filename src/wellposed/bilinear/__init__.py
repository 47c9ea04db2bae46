"""Bilinear inverse problems: unknown signals seen by sensors with unknown gains."""

from wellposed.bilinear.models import (
    CalibrationModel,
    DiverseInputs,
    RepeatedMeasurements,
    Snapshots,
)
from wellposed.bilinear.self_calibration import SelfCalibration
from wellposed.bilinear.solution import Calibration

__all__ = [
    "Calibration",
    "CalibrationModel",
    "DiverseInputs",
    "RepeatedMeasurements",
    "SelfCalibration",
    "Snapshots",
]
