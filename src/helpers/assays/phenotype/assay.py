"""Phenotype from FCS files to readouts, with the audits that a reader needs to trust or doubt them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.assays.cytokines.assay import typed
from helpers.assays.phenotype import audits
from helpers.assays.phenotype.beads import bead_lines, calibrated
from helpers.assays.phenotype.following import following
from helpers.assays.phenotype.gate_choice import AUTOMATIC, Gates, read_gates
from helpers.assays.phenotype.gating import overrides
from helpers.assays.phenotype.markers import arms_differ, backgrounds, controls, marker_rows, near_full, quadrant_rows
from helpers.assays.phenotype.measure import Measured, Recipe
from helpers.assays.phenotype.samples import Tube, file_path, panel_markers, tubes
from helpers.assays.phenotype.tasks import Task, condensed, measure_all, tasks_of
from helpers.assays.steps import Assayed
from helpers.core.problems import Problem, Refused
from helpers.readers.fcs import read_fcs_header
from helpers.study.config import Config

ASSAY = "phenotype"
TABLES = (
    "phenotype_populations",
    "phenotype_markers",
    "phenotype_coexpression",
    "gate_loss",
    "gate_overrides",
    "autofluorescence",
    "autofluorescence_gap",
    "detector_voltages",
    "instrument_drift",
    "bead_calibration",
    "acquisition",
    "miflowcyt",
)


def phenotype(
    folder: Path, tables: Mapping[str, pd.DataFrame], quarantined: AbstractSet[tuple[str, str]], config: Config
) -> Assayed:
    """All FCS files of phenotype/samples, as output tables and as wells for the steps to readouts.

    Control tubes are measured first, since thresholds and backgrounds of the stained tubes come from them. Every
    file is remembered by its content, gates, panel and thresholds.

    Parameters
    ----------
    folder
        The study folder.
    tables
        Typed input tables.
    quarantined
        What the checks set aside already.
    config
        study.yaml.
    """
    everyone = tubes(tables, quarantined)
    if not everyone:
        return Assayed(ASSAY, pd.DataFrame(), {}, {n: typed(pd.DataFrame(), n) for n in TABLES})
    panels, minimums = panel_markers(tables), config.settings["minimums"]
    gates, problems = read_gates(folder, tables["phenotype/gates"])
    blanks = [t for t in everyone if t.role in ("fmo", "unstained", "isotype")]
    tasks, said = tasks_of(blanks, panels, gates, {})
    problems += said
    measured, said = measure_all(folder, tasks)
    problems += said
    stained = [t for t in everyone if t.role == "stained"]
    usable = [t for t in blanks if t.role != "isotype"]
    alike, said = _gated_alike(folder, stained, tasks, measured, panels, gates)
    problems += said
    behind = {}
    everywhere = controls(usable, measured)
    for tube in stained:
        own = alike.get(tube.fcs_file)
        there = controls(usable, {**measured, **own}) if own else everywhere
        panel, volts = panels.get(tube.panel_id, ()), _voltages(folder, tube)
        behind[tube.fcs_file] = backgrounds(tube, panel, volts, there, minimums["events_statistic"], set(own or ()))
    thresholds = {
        file: tuple((m, b.threshold) for m, b in found.items() if b.kind != "none") for file, found in behind.items()
    }
    more, said = tasks_of(stained, panels, gates, thresholds)
    problems += said
    found, said = measure_all(folder, more)
    problems += said
    measured |= found
    sources = {t.fcs_file: (r, source) for t, r, _, source in [*tasks, *more]}
    out = _tables(everyone, stained, measured, behind, sources, panels, tables, config)
    stained_of = {t.fcs_file: t for t in stained}
    lines = bead_lines(tables["phenotype/beads"], panels)
    out["phenotype_markers"], out["bead_calibration"], said = calibrated(out["phenotype_markers"], stained_of, lines)
    problems += said
    followers = {file: len(own) for file, own in alike.items()}
    out["gate_overrides"] = overrides(gates.sets, _files_of_donors(everyone), followers)
    problems += _remarks(stained, out, sources)
    cultures = {t.culture_id for t in stained if t.fcs_file in measured and t.culture_id}
    wells = readout_wells(out, stained_of, _dyes(tables), minimums["events_percentage"], config)
    return Assayed(
        ASSAY, wells, {ASSAY: cultures}, {name: typed(out[name], name) for name in TABLES}, tuple(condensed(problems))
    )


def _gated_alike(
    folder: Path,
    stained: Sequence[Tube],
    blanks: Sequence[Task],
    measured: Mapping[str, Measured],
    panels: Mapping[str, tuple[tuple[str, str], ...]],
    gates: Gates,
) -> tuple[dict[str, dict[str, Measured]], list[Problem]]:
    """Control tubes measured through the gates of a stained file that has some of its own, by that file."""
    out: dict[str, dict[str, Measured]] = {}
    problems: list[Problem] = []
    named = {r.override_for for rows in gates.sets.values() for r in rows}
    for task in tasks_of([t for t in stained if t.fcs_file in named], panels, gates, {})[0]:
        again = following(task, _voltages(folder, task[0]), blanks, measured)
        out[task[0].fcs_file], said = measure_all(folder, again)
        problems += said
    return out, problems


def _voltages(folder: Path, tube: Tube) -> dict[str, float]:
    path, file = file_path(folder, tube.fcs_file)
    try:
        header = read_fcs_header(path, file)
    except Refused:
        return {}  # said where the file is measured
    return {c.name: c.voltage for c in header.channels if c.voltage is not None}


def _files_of_donors(everyone: Iterable[Tube]) -> dict[str, list[str]]:
    out = defaultdict(list)
    for tube in everyone:
        out[tube.donor_id].append(tube.fcs_file)
    return out


def _tables(
    everyone: Sequence[Tube],
    stained: Sequence[Tube],
    measured: Mapping[str, Measured],
    behind: Mapping[str, Mapping[str, Any]],
    sources: Mapping[str, tuple[Recipe, str]],
    panels: Mapping[str, tuple[tuple[str, str], ...]],
    tables: Mapping[str, pd.DataFrame],
    config: Config,
) -> dict[str, pd.DataFrame]:
    minimums = config.settings["minimums"]
    disease, control = config.groups_of("disease"), config.groups_of("control")
    there = [t for t in everyone if t.fcs_file in measured]
    parts = [population_table(t, measured[t.fcs_file], *sources[t.fcs_file]) for t in there]
    populations = typed(pd.concat(parts or [pd.DataFrame()]), "phenotype_populations")
    markers, quadrants = [], []
    for tube in stained:
        if tube.fcs_file in measured:
            one, back = measured[tube.fcs_file], behind[tube.fcs_file]
            markers += marker_rows(tube, one, back, minimums)
            quadrants += quadrant_rows(tube, one, back, minimums["events_percentage"])
    background = audits.autofluorescence(there, measured, minimums["events_statistic"])
    table = typed(pd.DataFrame(markers), "phenotype_markers")
    conditions = {t.culture_id: t.condition for t in stained}
    gap = typed(audits.autofluorescence_gap(background, table, conditions, disease, control), "autofluorescence_gap")
    return {
        "phenotype_populations": populations,
        "phenotype_markers": _marked(table, gap, conditions, tables, config),
        "phenotype_coexpression": pd.DataFrame(quadrants),
        "gate_loss": audits.gate_loss(populations, disease, control),
        "autofluorescence": background,
        "autofluorescence_gap": gap,
        "detector_voltages": audits.voltages(there, measured, {p: dict(own) for p, own in panels.items()}),
        "instrument_drift": audits.instrument_drift(background, {t.fcs_file: t.run for t in everyone}),
        "acquisition": audits.acquired(there, measured),
        "miflowcyt": audits.miflowcyt(there, measured, tables),
    }


def population_table(tube: Tube, one: Measured, recipe: Recipe, source: str) -> pd.DataFrame:
    """Rows of ``phenotype_populations`` of one file, beginning with all its events.

    Parameters
    ----------
    tube, one
        The tube and what it gave.
    recipe, source
        Its gates, and where they come from.
    """
    versions = {row.population: row.version for row in recipe.rows}
    own = [versions.get(path.rpartition("/")[2], "") for path in one.populations["population"]]
    gates = {"gate_set": recipe.gate_set, "gate_version": own, "gates_from": source}
    own_columns = one.populations.to_dict("series")
    return pd.DataFrame({**own_columns, **audits.facts(tube), **gates, "source": "exact"}, one.populations.index)


def _marked(
    markers: pd.DataFrame,
    gap: pd.DataFrame,
    conditions: Mapping[str, str],
    tables: Mapping[str, pd.DataFrame],
    config: Config,
) -> pd.DataFrame:
    """Marks that need the whole study: the background's gap, control kinds within pairs, markers told by MFI."""
    if markers.empty:
        return markers
    cultures = tables["cultures"].merge(tables["specimens"][["specimen_id", "donor_id", "visit"]], on="specimen_id")
    pairs = {c.code: c.compare_to for c in config.conditions if c.compare_to}
    differ = arms_differ(markers, cultures, pairs)
    beyond = set()
    if len(gap):
        worse = gap[gap["exceeds_signal"].fillna(False)]
        beyond = set(zip(worse["panel_id"], worse["condition"], worse["marker"], strict=True))
    full = near_full(markers)
    marks, by = [], []
    for row, other in zip(markers.itertuples(), differ, strict=True):
        flags = [
            str(row.qc),
            "control_kinds_differ" if other else "",
            "background_gap_exceeds_signal"
            if (row.panel_id, conditions.get(row.culture_id, ""), row.marker) in beyond
            else "",
        ]
        marks.append(";".join(f for f in flags if f and f != "<NA>"))
        by.append("mfi" if (row.population, row.marker) in full else "both")
    return markers.assign(qc=pd.array(marks, dtype="string"), reported_by=pd.array(by, dtype="string"))


def _remarks(
    stained: Sequence[Tube], out: Mapping[str, pd.DataFrame], sources: Mapping[str, tuple[Recipe, str]]
) -> list[Problem]:
    """What must be said once for the study: automatic gates, lone isotypes, controls that differ, changed voltages."""
    problems: list[Problem] = []

    def warn(code: str, message: str, fix: str, found: str) -> None:
        problems.append(Problem("warning", code, message, fix, file="phenotype/samples", found=found))

    proposed = [t.fcs_file for t in stained if t.fcs_file in sources and sources[t.fcs_file][1] == AUTOMATIC]
    if proposed:
        message = "No gates were given: an automatic starting gate was used, file by file."
        fix = "Look at its plots, then write the gates into phenotype/gates or put a gate file beside the FCS files."
        warn("automatic-gates", message, fix, f"{len(proposed)} files")
    markers = out["phenotype_markers"]
    bare = markers[(markers["control_kind"] == "none") & ~markers["qc"].fillna("").str.contains("gates_population")]
    if len(bare):
        message = "Markers of some files have no control of any kind that may set a threshold; an isotype may not."
        fix = "Add FMO or unstained tubes; without them there is a median and neither percentage nor ΔMFI."
        warn("no-control", message, fix, f"{len(bare)} of {len(markers)}")
    apart = markers[markers["qc"].fillna("").str.contains("control_kinds_differ")]
    if len(apart):
        message = "The two arms of a pair have their background from different kinds of controls."
        fix = "Use the same kind in both arms, or read these pairs with care; they are marked."
        warn("control-kinds-differ", message, fix, ", ".join(sorted(set(apart["marker"]))))
    volts, beads = out["detector_voltages"], out["bead_calibration"]
    joined = set(beads.loc[beads["used"].astype(bool), "marker"])
    volts = volts[~volts["marker"].isin(joined)]
    changed = volts[volts["changed"].fillna(False).astype(bool)] if len(volts) else volts
    dyed = changed["marker"].fillna("") != "" if len(changed) else pd.Series(dtype=bool)
    if dyed.any():
        message = "Detector voltages differ between files of one panel: their MFI are not comparable without beads."
        fix = "ΔMFI over different voltages is refused; percentages are kept, each by its own control. Beads go into phenotype/beads."
        warn("voltages-differ", message, fix, ", ".join(sorted(set(changed.loc[dyed, "channel"]))))
    if len(changed) and not dyed.all():
        message = (
            "Voltages of scatter detectors differ between files of one panel: common gates may not fit these files."
        )
        fix = "Look at their gating plots; give them gates of their own where needed."
        warn("scatter-voltages-differ", message, fix, ", ".join(sorted(set(changed.loc[~dyed, "channel"]))))
    return problems


# ---- readouts


JOINED = "runs joined by beads"
"""Run of a ΔMFI in the units of calibration beads: they take the instrument's day out of it."""


def _dyes(tables: Mapping[str, pd.DataFrame]) -> dict[tuple[str, str], str]:
    """Detector, fluorochrome and clone by panel and channel: what must be the same where beads join panels."""
    rows = tables["phenotype/panels"]
    words = [
        " ".join(str(part) for part in (r.channel, r.fluorochrome, r.clone) if not pd.isna(part))
        for r in rows.itertuples()
    ]
    return {(str(p), str(c)): w for p, c, w in zip(rows["panel_id"], rows["channel"], words, strict=True)}


def readout_wells(
    out: Mapping[str, pd.DataFrame],
    tube_of: Mapping[str, Tube],
    dyes: Mapping[tuple[str, str], str],
    fewest: int,
    config: Config,
) -> pd.DataFrame:
    """Populations and markers of cultures as wells for `steps.readouts`.

    ``AM|pct`` of its parent, ``AM|CD206|pct`` and ``AM|CD80+CD206+|pct`` with their counts, ``AM|CD206|delta_mfi``
    on log2 with bounds, in the units of calibration beads where these cover it. Markers by which the population is cut have none. A MFI ratio is no readout: the same
    brightness over a higher background looks smaller.

    Parameters
    ----------
    out
        Output tables.
    tube_of
        Stained tubes by file.
    dyes
        Detector, fluorochrome and clone by panel and channel.
    fewest
        Events a percentage needs.
    config
        study.yaml; its readouts may name another scale.
    """
    markers = out["phenotype_markers"]
    markers = markers[~markers["qc"].fillna("").str.contains("gates_population")]
    parts = [_mfi_wells(markers), _share_wells(markers), _quadrant_wells(out["phenotype_coexpression"])]
    names = set(out["phenotype_markers"]["population"])
    parts.append(_population_wells(out["phenotype_populations"], names, fewest))
    wells = pd.concat([p for p in parts if len(p)] or [pd.DataFrame(columns=["fcs_file", "culture_id", "readout"])])
    wells = wells[wells["culture_id"].notna() & (wells["culture_id"].astype(str) != "")].reset_index(drop=True)
    if wells.empty:
        return pd.DataFrame()
    panel = wells["fcs_file"].map(lambda f: tube_of[f].panel_id)
    by_beads = (wells["calibrated"] != "").fillna(False).astype(bool)
    alike = [
        f"{dyes.get((p, c), c)} {u} by beads"
        for p, c, u in zip(panel, wells["detector"], wells["calibrated"], strict=True)
    ]
    kit = panel.str.cat(wells["detector"].fillna(""), sep=" ").str.strip()
    scales = {
        r["name"]: r["scale"] for r in config.settings.get("readouts", ()) if r["assay"] == ASSAY and "scale" in r
    }
    return wells.assign(
        assay=ASSAY,
        run_id=wells["fcs_file"].map(lambda f: tube_of[f].run).mask(by_beads, JOINED),
        comparability=kit.mask(by_beads, pd.Series(alike, index=wells.index)),
        scale=wells["readout"].map(scales).fillna(wells["scale"]),
    ).drop(columns=["fcs_file", "detector", "calibrated"])


def _mfi_wells(markers: pd.DataFrame) -> pd.DataFrame:
    """ΔMFI, in MFI or in the units of beads; one within its noise is bounded above by it."""
    rows = markers[markers["censoring"].isin(["none", "left"])]
    exact, units = rows["censoring"] == "none", rows["calibrated_unit"].fillna("")
    delta, noise = (rows[c] * rows["units_per_mfi"].fillna(1.0) for c in ("delta_mfi", "delta_mfi_noise"))
    volts = rows["channel"].astype(str) + rows["voltage"].map(lambda v: "" if pd.isna(v) else f" {v:g} V")
    return pd.DataFrame(
        {
            "fcs_file": rows["fcs_file"],
            "culture_id": rows["culture_id"],
            "readout": rows["population"] + "|" + rows["marker"] + "|delta_mfi",
            "unit": units.mask(units == "", "MFI"),
            "scale": "log2",
            "lower": delta.where(exact),
            "upper": delta.where(exact, noise),
            "detector": volts.mask(units != "", rows["channel"]),
            "calibrated": units,
            "qc": rows["qc"],
        }
    )


def _share_wells(markers: pd.DataFrame) -> pd.DataFrame:
    rows = markers[markers["n_positive"].notna() & (markers["reported_by"] != "mfi")]
    return _shares(rows, rows["population"] + "|" + rows["marker"] + "|pct", rows["n_positive"], rows["n_events"])


def _quadrant_wells(quadrants: pd.DataFrame) -> pd.DataFrame:
    """Cells positive for both markers; the other quadrants stand in their table."""
    if quadrants.empty:
        return quadrants
    rows = quadrants[quadrants["quadrant"].str.count(r"\+") == 2]
    return _shares(rows, rows["population"] + "|" + rows["quadrant"] + "|pct", rows["n_events"], rows["n_population"])


def _population_wells(populations: pd.DataFrame, names: AbstractSet[str], fewest: int) -> pd.DataFrame:
    last = populations["population"].str.split("/").str[-1]
    rows = populations[
        last.isin(names) & (populations["tube_role"] == "stained") & (populations["n_parent"] >= fewest)
    ].assign(qc="")
    return _shares(rows, rows["population"].str.split("/").str[-1] + "|pct", rows["n_events"], rows["n_parent"])


def _shares(rows: pd.DataFrame, names: pd.Series, k: pd.Series, n: pd.Series) -> pd.DataFrame:
    share = 100 * k.astype("float64") / n.astype("float64")
    return pd.DataFrame(
        {
            "fcs_file": rows["fcs_file"],
            "culture_id": rows["culture_id"],
            "readout": names,
            "unit": "%",
            "scale": "logit",
            "lower": share,
            "upper": share,
            "k": k.astype("float64"),
            "n": n.astype("float64"),
            "detector": "",
            "calibrated": "",
            "qc": rows["qc"],
        }
    )
