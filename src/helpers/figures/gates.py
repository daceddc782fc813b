"""One gate of one file while its edge is moved: the events, the gate, and the gate of everyone else beside it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from helpers.assays.phenotype.pictures import BINS, Step
from helpers.core.numbers import show as number
from helpers.figures.base import Picture, drawn
from helpers.figures.phenotype import axis_ticks, step_panel
from helpers.figures.style import GREY, ORANGE, PAGE_IN, PURPLE
from helpers.study.config import Config

HEIGHT_IN = 3.3


@drawn
def moved_gate(now: Step, common: Step | None, label: str, dimension: int, config: Config) -> Picture:
    """Density of the parent's events with the gate, and their histogram along the axis of the moved edge.

    Parameters
    ----------
    now
        The gate with its edge where it was moved.
    common
        The gate of everyone else, in the same file; None where there is none.
    label
        Blinded label of the tube.
    dimension
        Axis of the moved edge: 0 or 1.
    config
        study.yaml.

    Returns
    -------
    The picture; nothing in it says whose cells these are.
    """
    figure = Figure(figsize=(PAGE_IN, HEIGHT_IN), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    step_panel(left, now)
    for x, y in common.outlines if common else ():
        left.plot(x, y, color=PURPLE, linewidth=1.1, linestyle=(0, (4, 3)))
    left.set_title(f"{now.population} of {now.parent or 'all events'}")
    counts = now.density.sum(axis=1 - dimension)
    edges = np.linspace(0, 1, BINS + 1)
    right.stairs(counts, edges, fill=True, color="#C9D3DB")
    right.stairs(counts, edges, color=GREY, linewidth=0.8)
    right.set(xlim=(0, 1), ylim=(0, None))
    one_axis = now.x.label != now.y.label and all(len(x) == 5 for x, _ in now.outlines)
    if one_axis:
        for outline, colour, dash in ((now, ORANGE, "-"), (common, PURPLE, (0, (4, 3)))):
            places = {float(v) for line in outline.outlines for v in line[dimension]} if outline else set()
            for place in sorted(p for p in places if 0 < p < 1):
                right.axvline(place, color=colour, linewidth=1.4, linestyle=dash)
    axis = now.y if dimension else now.x
    axis_ticks(right.xaxis, axis)
    right.set_xlim(0, 1)
    right.set_xlabel(axis.label, fontsize=7)
    right.set_ylabel("Events of the parent", fontsize=7)
    right.tick_params(labelsize=6.5)
    share = 100 * now.n_events / now.n_parent if now.n_parent else float("nan")
    said = f"{number(now.n_events)} of {number(now.n_parent)} events, {number(share)} %"
    right.set_title(said)
    handles = [Line2D([], [], color=ORANGE, linewidth=1.4, label="gate as moved")]
    if common:
        handles.append(
            Line2D([], [], color=PURPLE, linewidth=1.1, linestyle=(0, (4, 3)), label="gate of everyone else")
        )
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    beside = f" With the gate of everyone else {number(common.n_events)} events." if common else ""
    alt = f"{label}, gate {now.population}: {said}.{beside}"
    caption = (
        f"{label}. Left: density of the parent's events with the gate; right: their number along the axis of the moved "
        "edge. Events beyond an axis lie on its edge."
    )
    data = pd.DataFrame(
        [(now.population, now.parent, now.n_parent, now.n_events, share)],
        columns=["population", "parent", "n_parent", "n_events", "pct_parent"],
    )
    return Picture(figure, "explore_gate", alt, caption, data)
