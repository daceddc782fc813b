"""Readable views of one donor: clinical values in bands, eligibility, own readouts beside the controls, what is doubtful."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from helpers.analysis import DonorPart
from helpers.assays.steps import from_scale, to_scale
from helpers.core.numbers import show
from helpers.core.problems import problems_table
from helpers.stats.labels import readout_words
from helpers.tables.base import TableView, show_table
from helpers.tables.cohort import problems_view, reading_words
from helpers.tables.words import BANDS, QC, TABLE_ONE_LABELS

_KEY = ["assay", "readout", "timepoint_h", "assay_minutes"]


def clinical_view(part: DonorPart) -> TableView:
    """Who the donor is, in bands, so that a printed page names nobody.

    Parameters
    ----------
    part
        From `helpers.analysis.load_donor`.
    """
    row = part.own.table("donors_derived").iloc[0]
    group = next((g.label for g in part.own.config.groups if g.code == row["group"]), row["group"])
    lines = [("Group", str(group)), *_plain(row), *_banded(row)]
    return show_table(
        pd.DataFrame(lines, columns=["what", "band"]),
        f"{part.donor_id} in bands.",
        ("A band holds its lower end and not its upper one. The values themselves are in tables/donors_derived.csv.",),
        {"what": "What", "band": "Band"},
    )


def _plain(row: pd.Series) -> list[tuple[str, str]]:
    chosen = [(c, row[c]) for c in ("sex", "smoking_status", "dss", "prior_wll_count")]
    return [(_label(c), str(v) if isinstance(v, str) else show(int(v))) for c, v in chosen if not pd.isna(v)]


def _banded(row: pd.Series) -> list[tuple[str, str]]:
    return [(_label(c), band(float(row[c]), width)) for c, width in BANDS.items() if not pd.isna(row[c])]


def _label(column: str) -> str:
    return TABLE_ONE_LABELS.get(column, column)


def band(value: float, width: float) -> str:
    """The band of a width that holds a value.

    Parameters
    ----------
    value, width
        Of the same unit.

    Examples
    --------
    >>> band(57.2, 10), band(60, 10)
    ('50 to 60', '60 to 70')
    """
    low = math.floor(value / width) * width
    return f"{show(low)} to {show(low + width)}"


def eligibility_view(part: DonorPart) -> TableView:
    """The donor's status as study.yaml reads the registry record, and under each single change of reading.

    Parameters
    ----------
    part
        From `helpers.analysis.load_donor`.
    """
    readings = part.own.table("eligibility_readings")
    keys = ["combine", "shunt_limit_pct", "supplemental_o2", "e1_min_count", "e8_combine"]
    usual = readings[readings["is_default"]]
    lines = []
    for row in readings.to_dict("records"):
        differs = [k for k in keys if len(usual) and row[k] != usual.iloc[0][k]]
        if len(differs) <= 1:
            what = reading_words(differs[0], row[differs[0]]) if differs else "as study.yaml reads it"
            lines.append((bool(differs), what, row["status"], row["deciding"]))
    shown = pd.DataFrame(sorted(lines, key=lambda r: r[0]), columns=["other", "reading", "status", "deciding"])
    return show_table(
        shown.drop(columns="other"),
        "Eligibility under each reading of the registry record, one change at a time.",
        ("Indeterminate: a needed value is missing or cannot be judged, and nothing speaks against the donor.",),
        {"reading": "Reading", "status": "Status", "deciding": "Criteria that decide"},
    )


def readouts_view(part: DonorPart) -> TableView:
    """The leading readouts: own value without and with treatment, own change, and what the controls showed untreated.

    Parameters
    ----------
    part
        From `helpers.analysis.load_donor`.
    """
    own, config = part.leading, part.own.config
    roles = {(r["assay"], r["name"]): i for i, r in enumerate(config.settings.get("readouts", ()))}
    place = [roles.get(key, len(roles)) for key in zip(own["assay"], own["readout"], strict=True)]
    own = own.assign(place=place).sort_values("place", kind="stable")
    labels = {c.code: c.label for c in config.conditions}
    means, observed = _means(own, [*_KEY, "condition"]), _observed(part.controls)
    lines = []
    for key, rows in own.fillna(dict.fromkeys(_KEY, -1)).groupby(_KEY, sort=False):
        there, scale = set(rows["condition"]), str(rows["scale"].iloc[0])
        for treatment in (c for c in config.conditions if c.compare_to and c.code in there):
            without, treated = (means.get((*key, code)) for code in (treatment.compare_to, treatment.code))
            lines.append(
                {
                    "readout": f"{readout_words(str(key[1]))}, {rows['unit'].iloc[0]}",
                    "comparison": f"{treatment.label} against {labels.get(treatment.compare_to, treatment.compare_to)}",
                    "without": _value(without, scale),
                    "with": _value(treated, scale),
                    "change": _change(treated, without, scale),
                    "controls": observed.get((*key, treatment.compare_to), "none measured"),
                }
            )
    columns = ["readout", "comparison", "without", "with", "change", "controls"]
    return show_table(
        pd.DataFrame(lines, columns=columns),
        f"Readouts of {part.donor_id}.",
        (
            "Change: × is a ratio, without it a difference in the readout's unit. < and >: at most and at least, since a value lies beyond a limit.",
            "Controls: least to largest value observed without the treatment, and in how many. One donor's change has no interval: it cannot be told from chance here.",
        ),
        {
            "readout": "Readout",
            "comparison": "Comparison",
            "without": "Without",
            "with": "With",
            "change": "Change",
            "controls": "Observed in controls",
        },
        file="tables/readouts.csv",
    )


_Ends = tuple[float, float]


def _means(rows: pd.DataFrame, by: list[str]) -> dict[tuple[Any, ...], tuple[_Ends, _Ends]]:
    """Lowest and highest that the mean of rows can be, on the scale of analysis and in the unit, by key.

    The two are equal where all values are measured. A time that a readout does not have is −1 in the key.
    """
    exact = rows["censoring"] == "none"
    ends = pd.DataFrame(
        {
            "low_unit": rows["value"].where(exact, rows["lower"].fillna(-math.inf)).astype("float64"),
            "high_unit": rows["value"].where(exact, rows["upper"].fillna(math.inf)).astype("float64"),
        }
    )
    for scale, part in ends.groupby(rows["scale"].astype(str)):
        for end in ("low", "high"):
            ends.loc[part.index, end] = to_scale(part[f"{end}_unit"], str(scale))
    keys = rows[by].fillna(dict.fromkeys(_KEY, -1))
    columns = ["low", "high", "low_unit", "high_unit"]
    found = ends.reindex(columns=columns).groupby([keys[k] for k in by], sort=False).mean()
    return {
        key: ((low, high), (low_unit, high_unit)) for key, low, high, low_unit, high_unit in found.itertuples(name=None)
    }


def _back(value: float, scale: str) -> float:
    """Back to the readout's unit; a side without an end keeps none."""
    return value if math.isinf(value) else float(from_scale(pd.Series([value]), scale).iloc[0])


def _value(mean: tuple[_Ends, _Ends] | None, scale: str) -> str:
    if mean is None:
        return ""
    low, high = (_back(end, scale) for end in mean[0])
    return _bounded(low, high, "")


def _change(treated: tuple[_Ends, _Ends] | None, without: tuple[_Ends, _Ends] | None, scale: str) -> str:
    if treated is None or without is None:
        return "no pair"
    # a difference of percentages is what a reader of one page can use, not one of logits
    which, scale = (1, "identity") if scale == "logit" else (0, scale)
    low, high = (
        _back(end, scale) for end in (treated[which][0] - without[which][1], treated[which][1] - without[which][0])
    )
    return _bounded(low, high, "×" if scale == "log2" else "")


def _bounded(low: float, high: float, sign: str) -> str:
    """A number that lies between two ends, as far as it is known.

    Examples
    --------
    >>> _bounded(2.0, 2.0, "×"), _bounded(-math.inf, 0.5, "×"), _bounded(1.0, 2.5, ""), _bounded(-math.inf, math.inf, "")
    ('×2.00', '<×0.500', '1.00 to 2.50', 'not known')
    """
    if math.isnan(low) or math.isnan(high):
        return "not known"
    if low == high:
        return f"{sign}{show(low)}"
    if math.isinf(low) and math.isinf(high):
        return "not known"
    if math.isinf(low):
        return f"<{sign}{show(high)}"
    return f">{sign}{show(low)}" if math.isinf(high) else f"{sign}{show(low)} to {sign}{show(high)}"


def _observed(controls: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """What the controls showed, by readout and condition."""
    scales = dict(zip(controls["readout"], controls["scale"].astype(str), strict=True))
    each: dict[tuple[Any, ...], list[_Ends]] = {}
    for (*key, _), (ends, _) in _means(controls, [*_KEY, "condition", "donor_id"]).items():
        each.setdefault(tuple(key), []).append(ends)
    return {key: _seen(ends, scales[key[1]]) for key, ends in each.items()}


def _seen(each: list[_Ends], scale: str) -> str:
    exact = [_back(low, scale) for low, high in each if low == high]
    seen = _bounded(min(exact), max(exact), "") if exact else "none within limits"
    beyond = f", {len(each) - len(exact)} beyond a limit" if len(exact) < len(each) else ""
    return f"{seen}{beyond}; {len(each)} donors"


def quality_view(part: DonorPart) -> TableView:
    """What the assays themselves flagged in this donor's wells and files, counted.

    Parameters
    ----------
    part
        From `helpers.analysis.load_donor`.
    """
    lines = []
    for name, what in (
        ("cytokine_values", "cytokine values"),
        ("phenotype_markers", "marker statistics"),
        ("phagocytosis_wells", "uptake wells"),
    ):
        table = part.own.table(name)
        flags = table["qc"].fillna("").str.split(";").explode().str.strip()
        counts = flags[flags != ""].value_counts().sort_index()
        lines += [
            (what, QC.get(str(flag), str(flag).replace("_", " ")), int(n), len(table)) for flag, n in counts.items()
        ]
        if len(table) and counts.empty:
            lines.append((what, "nothing flagged", 0, len(table)))
        if table.empty:
            lines.append((what, "none measured", 0, 0))
    return show_table(
        pd.DataFrame(lines, columns=["what", "flag", "n", "of"]),
        "What the assays flagged.",
        ("Flagged values are shown and kept; what they mean is told on the assay's page.",),
        {"what": "What", "flag": "Flag", "n": "Flagged", "of": "Of"},
    )


def said_view(part: DonorPart) -> TableView:
    """What the checks said of this donor's rows and files.

    Parameters
    ----------
    part
        From `helpers.analysis.load_donor`.
    """
    return problems_view(problems_table(part.own.problems))
