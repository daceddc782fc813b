"""Sentences on effects: what nobody measured is said once, and what was measured keeps its paragraph."""

from __future__ import annotations

import numpy as np
import pandas as pd

from helpers.core.schemas import output_tables
from helpers.stats.sentences import conclusions
from helpers.study.config import Config


def effects(*rows: tuple[str, str, str, float, str]) -> pd.DataFrame:
    """Rows of effects: readout, group, treatment, minutes, status; ok has an estimate of 1 (0 to 2)."""
    out = []
    for readout, group, treatment, minutes, status in rows:
        known = status == "ok"
        out.append(
            {
                "contrast_id": f"{treatment}_{group}",
                "contrast": "msc_effect",
                "assay": "phagocytosis",
                "readout": readout,
                "group": group,
                "treatment": treatment,
                "reference": "am",
                "assay_minutes": minutes,
                "timepoint_h": 24.0,
                "status": status,
                "estimate": 1.0 if known else np.nan,
                "n_pairs": 6 if known else 2 if status == "not_estimable" else 0,
                "ratio_kind": "none",
                "note": "",
                "prespecified": "no",
            }
        )
    return pd.DataFrame(out).reindex(columns=output_tables()["effects"].columns)


def test_all_comparisons_without_data_share_one_sentence(config: Config) -> None:
    table = effects(
        ("pct", "apap", "am_msc", 60, "ok"),
        ("pct", "apap", "gm", 60, "no_data"),
        ("imfi", "apap", "gm", 60, "no_data"),
        ("pct", "apap", "gm", 120, "no_data"),
        ("pct", "control", "gm", 60, "no_data"),
        ("pct", "control", "am_msc", 60, "no_data"),
    )
    said = conclusions(table, config, "phagocytosis", "msc_effect")
    assert [s for s in said if "No donor" in s] == [
        "No donor has the values for these comparisons, so no readout has an estimate: AM + GM-CSF against AM (aPAP, 24 h, 60 min; aPAP, 24 h, 120 min; "
        "Control, 24 h, 60 min); AM + MSC against AM (Control, 24 h, 60 min)."
    ]
    assert said[0].startswith("AM + MSC against AM, aPAP, 24 h, 60 min: 1 of 1 readouts have an estimate from 6 pairs.")
    assert not any(" 0 of " in s for s in said)


def test_comparisons_of_which_no_donor_has_both_arms_share_it_too(config: Config) -> None:
    table = effects(("pct", "apap", "gm", 60, "too_few_donors"), ("imfi", "apap", "gm", 60, "no_data"))
    said = conclusions(table, config, "phagocytosis", "msc_effect")
    assert said[0].endswith("no readout has an estimate: AM + GM-CSF against AM (aPAP, 24 h, 60 min).")


def test_what_was_tried_and_failed_keeps_its_paragraph(config: Config) -> None:
    table = effects(
        ("pct", "apap", "am_msc", 60, "not_estimable"),
        ("imfi", "apap", "am_msc", 60, "no_data"),
        ("pct", "control", "am_msc", 60, "ok"),
        ("imfi", "control", "am_msc", 60, "no_data"),
    )
    said = conclusions(table, config, "phagocytosis", "msc_effect")
    assert "0 of 2 readouts have an estimate. Without an estimate: 1 not estimable, 1 no data." in said[0]
    assert "1 of 2 readouts" in said[1] and "Without an estimate: 1 no data." in said[1]
    assert not any(s.startswith("No donor") for s in said)
