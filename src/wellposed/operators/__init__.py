"""Forward models: what was measured, and how."""

from wellposed.operators.base import LinearOperator, MatrixOperator, Operator
from wellposed.operators.entries import Entries

__all__ = ["Entries", "LinearOperator", "MatrixOperator", "Operator"]
