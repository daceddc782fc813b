"""Spillover out of the events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flowutils.compensate import compensate as solved

from helpers.core.problems import Problem, Refused
from helpers.readers.fcs import Spillover, Values

_BLOCK = 16_384  # events at a time: stays in the processor's cache and needs no second copy of the file


def compensate(events: Values, channels: Sequence[str], spillover: Spillover) -> Values:
    """Events with spillover solved out; channels that the matrix does not name are left as they are.

    Compensated c solves c · S = raw, S the spillover matrix with one row a dye (Bagwell and Adams 1993).

    Parameters
    ----------
    events
        Events × channels, FCS scale values.
    channels
        Names of the columns.
    spillover
        Square matrix for some or all of them.

    Returns
    -------
    Events × channels, stored by column.

    Raises
    ------
    Refused
        If the matrix names a channel that is not there, is not square or has no inverse.

    Examples
    --------
    >>> spill = Spillover(("A", "B"), np.array([[1.0, 0.5], [0.0, 1.0]]))
    >>> compensate(np.array([[100.0, 60.0, 7.0]]), ["A", "B", "Time"], spill).tolist()
    [[100.0, 10.0, 7.0]]
    """
    missing = [name for name in spillover.channels if name not in channels]
    if missing:
        message = "The spillover matrix names channels that the file does not have."
        raise Refused([_problem("spillover-names", message, ", ".join(missing))])
    matrix, width = spillover.matrix, len(spillover.channels)
    if matrix.shape != (width, width) or np.linalg.matrix_rank(matrix) < width:
        raise Refused([_problem("spillover-singular", "The spillover matrix cannot be inverted.", str(matrix.shape))])
    columns = [list(channels).index(name) for name in spillover.channels]
    out = np.array(events, order="F")
    for start in range(0, len(out), _BLOCK):
        block = slice(start, start + _BLOCK)
        out[block, columns] = solved(events[block, columns], matrix)
    return out


def _problem(code: str, message: str, found: str) -> Problem:
    return Problem("error", code, message, "Use the matrix that belongs to this file.", found=found)
