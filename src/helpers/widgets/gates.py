"""Explore one gate of one file: blinded until the gate is saved with a reason, so that no result chooses a gate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from helpers.analysis import Analysis
from helpers.assays.flow.transforms import linear_edge
from helpers.assays.phenotype import moved
from helpers.assays.phenotype.moved import Edge, OpenTube
from helpers.assays.phenotype.override import TABLE, record_of, save_override
from helpers.assays.phenotype.pictures import SCALE, Axis
from helpers.assays.phenotype.samples import tubes
from helpers.core.problems import Refused
from helpers.figures.base import Picture
from helpers.figures.gates import moved_gate
from helpers.tables.base import TableView, show_table
from helpers.tables.phenotype import moved_view
from helpers.widgets import words
from helpers.widgets.shown import Explorer, box, image, sentence, table, text

STEPS = 1000
"""Places of the slider along an axis."""
MOST_RATIO = 2.0
"""Height over area at the right end of the slider."""


@dataclass(frozen=True)
class GateShown:
    """What a gate with a moved edge shows: nothing that says whose cells these are.

    Parameters
    ----------
    picture
        Events, the gate, and the gate of everyone else.
    shares
        Counts and shares of the file's populations, as stored and as moved.
    """

    picture: Picture
    shares: TableView


def labels(data: Analysis) -> dict[str, str]:
    """Blinded label and file of every tube; see `helpers.assays.phenotype.moved.blinded`."""
    return moved.blinded(tubes(data.study_tables, data.study.quarantined), data.config.id)


def opened(data: Analysis, fcs_file: str) -> OpenTube:
    """A file with its gates and the thresholds of its controls.

    Parameters
    ----------
    data
        The analysis.
    fcs_file
        Which file.

    Raises
    ------
    Refused
        Where its gates do not stand in phenotype/gates, or the file cannot be used.
    """
    markers = data.table("phenotype_markers")
    own = markers[(markers["fcs_file"] == fcs_file) & markers["threshold"].notna()]
    thresholds = dict(zip(own["marker"].astype(str), own["threshold"].astype(float), strict=True))
    return moved.open_tube(data.folder, data.study_tables, fcs_file, thresholds, data.study.quarantined)


def shares_at(tube: OpenTube, population: str, place: int, value: float) -> pd.DataFrame:
    """Counts and shares of one file with one edge of one gate elsewhere, by the steps that measure the study.

    Parameters
    ----------
    tube
        From `opened`.
    population
        Which gate.
    place
        Which of its edges.
    value
        Where the edge is to stand, FCS scale value.
    """
    return moved.shares(tube, moved.moved(tube, moved.with_edge(tube, population, place, value)))


def gate_shown(data: Analysis, tube: OpenTube, label: str, population: str, edge: Edge, value: float) -> GateShown:
    """What is shown of a gate with an edge elsewhere.

    Parameters
    ----------
    data
        The analysis, for its settings alone.
    tube, label
        From `opened` and `labels`.
    population, edge
        Which gate and which of its edges.
    value
        Where the edge is to stand.
    """
    one = moved.moved(tube, moved.with_edge(tube, population, edge.place, value))
    general = tube.common.get(population)
    common = moved.step(tube, moved.moved(tube, general), population) if general else None
    picture = moved_gate(moved.step(tube, one, population), common, label, edge.dimension, data.config)
    return GateShown(picture, moved_view(moved.shares(tube, one), label))


def whose(data: Analysis, tube: OpenTube) -> str:
    """Donor, group and condition of a tube; only for a gate that was saved."""
    own = tube.tube
    known = {g.code: g.label for g in data.config.groups} | {c.code: c.label for c in data.config.conditions}
    return ", ".join(known.get(p, p) for p in (own.donor_id, own.group, own.condition) if p)


def slider_place(axis: Axis | None, value: float) -> float:
    """Place of an edge on the slider, 0 to 1: as on the plot, or along height over area."""
    place = value / MOST_RATIO if axis is None else float(axis.place(np.array([value]))[0])
    return min(max(place, 0.0), 1.0)


def slider_value(axis: Axis | None, place: float) -> float:
    """FCS scale value at a place of the slider, in no more digits than a reader can tell apart.

    Examples
    --------
    >>> slider_value(Axis("FSC-A", False, 262144.0), 0.25)
    65540.0
    """
    if axis is not None and axis.dyed:
        return float(f"{linear_edge(place, SCALE):.4g}")
    return float(f"{place * (MOST_RATIO if axis is None else axis.top):.4g}")


def explore_gates(data: Analysis) -> Explorer:
    """Widgets to choose a tube by a blinded label, a gate and an edge, to move it, and to save it with a reason.

    Parameters
    ----------
    data
        The analysis.

    Returns
    -------
    The widgets; the last line of a cell shows them.

    Examples
    --------
    >>> from helpers.analysis import load_study
    >>> explore_gates(load_study()).picture.name
    'explore_gate'
    """
    files = labels(data)
    return _wired(data, files) if files else Explorer((text(words.NO_TUBES),))


def _wired(data: Analysis, files: dict[str, str]) -> Explorer:
    import ipywidgets

    wide = {"layout": {"width": "26em"}, "style": {"description_width": "5em"}}
    tube = ipywidgets.Dropdown(options=list(files), description=words.TUBE, **wide)
    gate = ipywidgets.Dropdown(description=words.GATE, **wide)
    edge = ipywidgets.Dropdown(description=words.EDGE, **wide)
    place = ipywidgets.FloatSlider(
        description=words.PLACE, min=0, max=1, step=1 / STEPS, readout=False, continuous_update=False, **wide
    )
    value = ipywidgets.FloatText(description=words.VALUE, **wide)
    reason = ipywidgets.Textarea(
        description=words.REASON, placeholder=words.REASON_HINT, layout={"width": "34em", "height": "5em"}
    )
    save = ipywidgets.Button(description=words.SAVE, layout={"width": "auto"})
    picture, shares, said = box(), box(), text(words.BLINDED)
    now: dict[str, Any] = {"tube": None, "axis": None, "busy": False}
    inputs, source = dict(data.study.inputs), data.study.sources.get(TABLE)
    seen: set[tuple[str, str]] = set()

    @contextmanager
    def quiet() -> Iterator[None]:
        """While it lasts, widgets that are set do not answer."""
        now["busy"] = True
        try:
            yield
        finally:
            now["busy"] = False

    def say(words_: str, more: str = "") -> None:
        said.value = sentence(words_) + more

    def open_tube(_: Any = None) -> None:
        try:
            now["tube"] = opened(data, files[tube.value])
        except Refused as refused:
            _nothing(" ".join(f"{p.message} {p.fix}" for p in refused.problems))  # no file's name: it may tell whose
            return
        names = moved.movable(now["tube"])
        if not names:
            _nothing(words.NO_EDGE)
            return
        kept = gate.value
        with quiet():
            gate.options = names
            gate.value = kept if kept in names else names[-1]
        choose_gate()

    def _nothing(why: str) -> None:
        with quiet():
            gate.options = edge.options = ()
        picture.value = shares.value = ""
        explorer.picture = None
        save.disabled = True
        say(why)

    def choose_gate(_: Any = None) -> None:
        if now["busy"] or gate.value is None:
            return
        own = moved.edges_of(now["tube"], gate.value)
        with quiet():
            edge.options = [(f"{e.side} edge of {e.channel}", e) for e in own]
            edge.value = own[0]
        choose_edge()

    def choose_edge(_: Any = None) -> None:
        if now["busy"] or edge.value is None:
            return
        now["axis"] = moved.axis_of(now["tube"], edge.value, gate.value)
        with quiet():
            value.value = moved.as_written(edge.value.value)
            place.value = slider_place(now["axis"], value.value)
        say(words.SEEN if (tube.value, gate.value) in seen else words.BLINDED)
        show()

    def slide(_: Any) -> None:
        if not now["busy"]:
            with quiet():
                value.value = slider_value(now["axis"], place.value)
            show()

    def write(_: Any) -> None:
        if not now["busy"]:
            with quiet():
                place.value = slider_place(now["axis"], value.value)
            show()

    def show() -> None:
        save.disabled = (tube.value, gate.value) in seen
        try:
            shown = gate_shown(data, now["tube"], tube.value, gate.value, edge.value, value.value)
        except Refused as refused:
            say(str(refused))
            return
        explorer.picture = shown.picture
        picture.value, shares.value = image(shown.picture), table(shown.shares)

    def keep(_: Any) -> None:
        own: OpenTube = now["tube"]
        if moved.as_written(value.value) == moved.as_written(edge.value.value):
            say(words.UNCHANGED)
            return
        try:
            row = moved.with_edge(own, gate.value, edge.value.place, value.value)
            file, digest = save_override(data.folder, source, inputs, own, row, reason.value)
        except Refused as refused:
            say(str(refused), _row_to_copy(own, row, reason.value) if _in_workbook(refused) else "")
            return
        inputs[file] = digest
        seen.add((tube.value, gate.value))
        save.disabled = True
        reason.value = ""
        say(words.SAVED.format(file=file, fcs_file=own.tube.fcs_file, whose=whose(data, own)))

    controls = ipywidgets.HBox([ipywidgets.VBox([tube, gate, edge, place, value]), ipywidgets.VBox([reason, save])])
    explorer = Explorer((controls, said, picture, shares))
    open_tube()
    for widget, answer in ((tube, open_tube), (gate, choose_gate), (edge, choose_edge), (place, slide), (value, write)):
        widget.observe(answer, "value")
    save.on_click(keep)
    return explorer


def _in_workbook(refused: Refused) -> bool:
    return any(p.code == "gates-in-workbook" for p in refused.problems)


def _row_to_copy(tube: OpenTube, row: Any, reason: str) -> str:
    record = record_of(tube.gate_set, row) | {"reason": " ".join(reason.split())}
    return table(show_table(pd.DataFrame([record]), words.IN_WORKBOOK))
