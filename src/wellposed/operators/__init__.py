"""Forward models: what was measured, and how."""

from wellposed.operators.base import LinearOperator, MatrixOperator, Operator
from wellposed.operators.callable import from_callable
from wellposed.operators.compose import Compose
from wellposed.operators.entries import Entries
from wellposed.operators.generic import Identity, Matrix
from wellposed.operators.hankel import Hankel
from wellposed.operators.sensing import DenseSensing, RankOneSensing

__all__ = [
    "Compose",
    "DenseSensing",
    "Entries",
    "Hankel",
    "Identity",
    "LinearOperator",
    "Matrix",
    "MatrixOperator",
    "Operator",
    "RankOneSensing",
    "from_callable",
]
