"""Explore readouts donor by donor: the picture, the wells behind each point, the planned estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from helpers.analysis import Analysis
from helpers.figures.base import Picture
from helpers.figures.explore import axis_scales, donors_across_arms
from helpers.tables.base import TableView
from helpers.tables.effects import rows_view
from helpers.tables.wells import wells_view
from helpers.widgets import choices, words
from helpers.widgets.choices import Selection
from helpers.widgets.shown import Explorer, box, image, table, text
from helpers.widgets.shown import sentence as say


@dataclass(frozen=True)
class Shown:
    """What a selection shows.

    Parameters
    ----------
    picture
        Every donor across the arms; the chosen ones in colour and by name.
    sentence
        Whose the estimate is.
    effects
        The matching rows of the table of effects, of all donors.
    wells
        Wells behind the points of the chosen donors.
    """

    picture: Picture
    sentence: str
    effects: TableView
    wells: TableView


def shown(data: Analysis, selection: Selection) -> Shown:
    """What a selection shows: a pure function, which the widgets ask.

    Parameters
    ----------
    data
        The analysis.
    selection
        The choice.

    Returns
    -------
    Picture and wells of the chosen donors, and the rows of effects, which hang on no choice of donors.
    """
    rows, config = choices.rows_of(data.table("readouts"), selection), data.config
    rows.attrs["simulated"] = config.simulated
    everyone = list(dict.fromkeys(rows["donor_id"]))
    chosen = [d for d in everyone if d in selection.donors] or everyone
    effects = choices.effect_rows(data.table("effects"), selection)
    sentence = words.EVERYONE
    if len(chosen) < len(everyone):
        sentence = words.FEWER.format(n=len(chosen), all=len(everyone))
    if effects.empty:
        sentence = words.NO_ROWS
    return Shown(
        donors_across_arms(rows, config, selection.comparison.arms, chosen, selection.scale),
        sentence,
        rows_view(effects, config, words.EFFECT_ROWS),
        wells_view(data, rows[rows["donor_id"].isin(chosen)], config),
    )


def explore_readouts(data: Analysis) -> Explorer:
    """Widgets to choose assay, readout, comparison, donors and scale; under them picture, effects and wells.

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
    >>> explorer = explore_readouts(load_study())
    >>> explorer.picture.name
    'explore_donors'
    """
    selection = choices.first(data)
    if selection is None:
        return Explorer((text(words.NO_READOUTS),))
    return _wired(data, selection)


def _wired(data: Analysis, start: Selection) -> Explorer:
    import ipywidgets

    readouts, effects, config = data.table("readouts"), data.table("effects"), data.config
    wide = {"layout": {"width": "34em"}, "style": {"description_width": "7em"}}
    there = choices.assays(readouts)
    assay = ipywidgets.Dropdown(
        options=[(words.ASSAYS.get(a, a), a) for a in there], value=start.assay, description=words.ASSAY, **wide
    )
    readout = ipywidgets.Dropdown(description=words.READOUT, **wide)
    comparison = ipywidgets.Dropdown(description=words.COMPARISON, **wide)
    scale = ipywidgets.Dropdown(description=words.SCALE, **wide)
    donors = ipywidgets.SelectMultiple(
        description=words.DONORS, rows=9, layout={"width": "20em"}, style={"description_width": "5em"}
    )
    everyone = ipywidgets.Button(description=words.ALL_DONORS, layout={"width": "auto"})
    picture, sentence, rows, wells = box(), text(), box(), box()
    busy = [False]

    def chosen() -> Selection:
        return Selection(assay.value, readout.value, comparison.value, tuple(donors.value), scale.value or "")

    def offer(changed: Any) -> None:
        """Refill what hangs on the changed widget, keeping a choice that is still there; then show."""
        if busy[0]:
            return
        busy[0] = True
        try:
            if changed is assay:
                _refill(readout, choices.readouts_of(readouts, config, assay.value))
            if changed in (assay, readout):
                found = choices.comparisons(readouts, effects, assay.value, readout.value)
                visits = len({c.visit for c in found}) > 1
                _refill(comparison, [(c.label(config, visits), c) for c in found])
            if changed in (assay, readout, comparison) and comparison.value is not None:
                own = replace(chosen(), donors=())
                kept = set(donors.value)
                donors.options = choices.donors_of(readouts, config, own)
                donors.value = tuple(d for _, d in donors.options if d in kept)
                scales = axis_scales(choices.rows_of(readouts, own))
                _refill(scale, [(words.SCALES[s], s) for s in scales])
        finally:
            busy[0] = False
        show()

    def show() -> None:
        if comparison.value is None:
            explorer.picture = None
            picture.value = rows.value = wells.value = ""
            sentence.value = say(words.NO_COMPARISON)
            return
        now = shown(data, chosen())
        explorer.picture = now.picture
        picture.value, sentence.value = image(now.picture), say(now.sentence)
        rows.value, wells.value = table(now.effects), table(now.wells)

    controls = ipywidgets.HBox(
        [ipywidgets.VBox([assay, readout, comparison, scale]), ipywidgets.VBox([donors, everyone])]
    )
    explorer = Explorer((controls, picture, sentence, rows, wells))
    _refill(readout, choices.readouts_of(readouts, config, start.assay), start.readout)
    for one in (assay, readout, comparison, donors, scale):
        one.observe(lambda change: offer(change["owner"]), "value")
    everyone.on_click(lambda _: setattr(donors, "value", ()))
    offer(readout)
    return explorer


def _refill(dropdown: Any, options: list[tuple[str, Any]], value: Any = None) -> None:
    """New options; the value stays where it is among them, else the first one is taken."""
    values = [v for _, v in options]
    wanted = value if value is not None else dropdown.value
    dropdown.options = options
    dropdown.value = wanted if wanted in values else next(iter(values), None)
