"""The array type that every formula here works on: float64 of any leading shape, one element a metric stream."""

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
ArrayLike: TypeAlias = npt.ArrayLike


@cache
def constant(values: tuple[float, ...]) -> Array:
    """A policy's numbers as an array, made once and never written to: making it takes longer than most sums do."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


def as_array(values: ArrayLike) -> Array:
    """Values as float64; a copy only where the type asks for one."""
    return np.asarray(values, dtype=np.float64)
