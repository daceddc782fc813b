"""What a reader should know before trusting a number, in sentences computed from the tables."""

from __future__ import annotations

from helpers.analysis import Analysis


def uncertainties(data: Analysis) -> list[str]:
    """What a reader should know before trusting a number, each a sentence computed from the tables.

    Parameters
    ----------
    data
        The opened study.
    """
    said = []
    readings, problems, complete = (
        data.table("eligibility_readings"),
        data.table("problems"),
        data.table("completeness"),
    )
    usual = readings[readings["is_default"]]
    if len(usual):
        counts = usual["status"].value_counts()
        said.append(
            f"Eligibility as study.yaml reads the registry: {counts.get('eligible', 0)} eligible, {counts.get('ineligible', 0)} ineligible, "
            f"{counts.get('indeterminate', 0)} indeterminate of {len(usual)} donors."
        )
        changing = list(dict.fromkeys(readings.loc[readings["changes"], "donor_id"]))
        named = ", ".join(changing[:12]) + (" and more" if len(changing) > 12 else "")
        said.append(f"Donors whose status depends on how an ambiguous criterion is read: {named or 'none'}.")
    else:
        said.append("Nobody is analysed, so nobody's eligibility is judged.")
    aside = problems[problems["severity"] == "quarantine"]
    if len(aside):
        said.append(f"Set aside by the checks: {', '.join(dict.fromkeys(aside['entity']))}.")
    warnings = int((problems["severity"] == "warning").sum())
    if warnings:
        said.append(f"Warnings that wait for a look: {warnings}; see the page of problems.")
    gaps = complete[complete["status"] == "missing"]
    if len(gaps):
        said.append(f"Planned results that are missing: {len(gaps)}, of {gaps['donor_id'].nunique()} of the donors.")
    if not data.config.groups_of("control") or not (data.table("donors_derived")["role"] == "control").any():
        said.append("There are no control donors: nothing can be compared with health.")
    else:
        said.append(
            "Controls differ from patients in the source of their cells and in more than the disease; group differences describe."
        )
    plan = data.config.settings.get("plan") or {}
    if not plan.get("sha256"):
        said.append("No hash of a dated analysis plan is recorded, so every result is exploratory.")
    return said
