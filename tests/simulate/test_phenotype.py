"""Simulated FCS files: read by another library, the same every time, and the planted truths can be found in them."""

from __future__ import annotations

import math
from pathlib import Path

import flowio
import numpy as np
import pandas as pd
import pytest

from helpers.readers.fcs import read_fcs
from helpers.simulate.design import plan
from helpers.simulate.phenotype import (
    BACKBONE,
    CHANGE_SD,
    DONOR_SD,
    FEW_EVENTS,
    LONE_ARM,
    MARKERS,
    NO_TUBE,
    STAINED_EVENTS,
    Marker,
    phenotype_files,
    phenotype_sections,
    phenotype_tables,
    spillover_matrix,
    tube_plans,
)


def by_flowio(path: Path) -> tuple[flowio.FlowData, np.ndarray]:
    """Events with spillover solved out, by flowio and numpy alone."""
    data = flowio.FlowData(str(path))
    events = np.reshape(np.asarray(data.events, dtype=float), (-1, data.channel_count))
    dyes = [data.pnn_labels.index(m.channel) for m in MARKERS]
    events[:, dyes] = events[:, dyes] @ np.linalg.inv(spillover_matrix())
    return data, events


def test_another_library_reads_what_ours_reads(demo: Path) -> None:
    path = demo / "phenotype/fcs" / tube_plans(plan())[0].file
    data, ours = flowio.FlowData(str(path)), read_fcs(path, path.name)
    theirs = np.reshape(np.asarray(data.events, dtype=float), (-1, 12))
    assert (data.version, data.event_count, ours.version) == ("3.1", STAINED_EVENTS, "3.1")
    assert tuple(data.pnn_labels) == ours.names and len(ours.names) == 12
    theirs[:, -1] *= 0.01  # flowio leaves Time in ticks here
    np.testing.assert_allclose(ours.events, theirs, rtol=1e-12)
    assert ours.problems == () and ours.spillover is not None
    np.testing.assert_allclose(ours.spillover.matrix, spillover_matrix())
    assert data.text["spillover"].startswith("8,FITC-A,")


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    first, again, other = (dict(phenotype_files(plan(3, seed))) for seed in (1, 1, 2))
    assert first == again and first.keys() == other.keys() and first != other


def test_a_donors_files_do_not_hang_on_the_size_of_the_study() -> None:
    small, large = dict(phenotype_files(plan(4))), dict(phenotype_files(plan(9)))
    # D03 is the first control of a study of four; the two before have aPAP in both
    own = [t.file for t in tube_plans(plan(4)) if t.donor.number <= 2]
    assert len(own) == 8 and all(small[f] == large[f] for f in own)


def test_every_donor_and_arm_has_a_stained_tube_and_a_control_but_for_the_planted_gaps() -> None:
    roles: dict[tuple[int, str], list[str]] = {}
    for tube in tube_plans(plan()):
        roles.setdefault((tube.donor.number, tube.culture.condition), []).append(tube.role)
    lone = {key for key, found in roles.items() if set(found) == {"stained"}}
    assert lone == {(NO_TUBE, "am"), (NO_TUBE, "am_msc"), (LONE_ARM, "am_msc")}
    assert {n for n, _ in roles} == set(range(1, 27))
    few = [t.events for t in tube_plans(plan()) if t.donor.number == FEW_EVENTS and t.role == "stained"]
    assert few and max(few) < 200


def test_both_groups_share_every_run_day_and_both_kinds_of_control() -> None:
    rows = pd.DataFrame(phenotype_tables(plan())["phenotype/samples"])
    group = {t.file: t.donor.group for t in tube_plans(plan())}
    for column in ("run_day", "tube_role"):
        assert (rows.groupby(column)["fcs_file"].agg(lambda f: len({group[x] for x in f})) == 2).all()


@pytest.fixture(scope="module")
def medians(demo: Path) -> pd.DataFrame:
    """Compensated medians of bright, live, CD45+CD169+ events of every tube, by flowio, numpy and fixed edges."""
    out = []
    for tube in tube_plans(plan()):
        if tube.role == "unstained" or tube.events < STAINED_EVENTS / 2:
            continue
        data, events = by_flowio(demo / "phenotype/fcs" / tube.file)
        at = {n: i for i, n in enumerate(data.pnn_labels)}
        am = (events[:, at["APC-A"]] > 700) & (events[:, at["BV510-A"]] > 1800) & (events[:, at["APC-Cy7-A"]] < 1800)
        am &= events[:, at["FSC-H"]] / events[:, at["FSC-A"]] > 0.7
        for marker in MARKERS:
            level = float(np.median(events[am, at[marker.channel]]))
            out.append((tube.donor.number, tube.donor.group, tube.culture.condition, tube.role, marker.name, level))
    frame = pd.DataFrame(out, columns=["donor", "group", "condition", "role", "marker", "level"])
    return (
        frame.groupby(["donor", "group", "condition", "role", "marker"])["level"].mean().unstack("role").reset_index()
    )


@pytest.mark.parametrize(
    "marker", [m for m in MARKERS if m.name not in BACKBONE and m.name != "CD80"], ids=lambda m: m.name
)
def test_planted_effects_are_in_the_files(medians: pd.DataFrame, marker: Marker) -> None:
    """Estimates lie within three standard errors of the truth; the error is the planted spread between donors."""
    own = medians[(medians["marker"] == marker.name) & medians["fmo"].notna() & medians["stained"].notna()]
    change = np.log2(own["stained"] - own["fmo"])
    wide = own.assign(change=change).pivot_table(index=["group", "donor"], columns="condition", values="change")
    pairs = (wide["am_msc"] - wide["am"]).dropna()
    for group, truth in (("apap", marker.msc_effect_apap), ("control", marker.msc_effect_control)):
        found = pairs[group]
        assert abs(found.mean() - truth) < 3 * (CHANGE_SD + 0.1) / math.sqrt(len(found)), (group, found.mean())
    levels = wide["am"].dropna()
    gap = levels["apap"].mean() - levels["control"].mean()
    error = (DONOR_SD + 0.1) * math.sqrt(1 / len(levels["apap"]) + 1 / len(levels["control"]))
    assert abs(gap - marker.group_gap) < 3 * error


def test_macrophages_of_patients_shine_more_by_themselves(medians: pd.DataFrame) -> None:
    glow = medians[(medians["marker"] == "CD80") & (medians["condition"] == "am")].groupby("group")["fmo"].median()
    assert 1.4 < glow["apap"] / glow["control"] < 3


def test_the_page_names_every_marker_and_awkward_donor() -> None:
    page = phenotype_sections()
    assert all(f"| {m.name} |" in page for m in MARKERS)
    assert all(f"| D{n:02d} |" in page for n in (NO_TUBE, LONE_ARM, FEW_EVENTS))
