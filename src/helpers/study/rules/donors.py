"""Facts of a donor that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from helpers.core.problems import Problem
from helpers.study.config import Config
from helpers.study.folder import Folder
from helpers.study.rules.saying import Say, Tables, about
from helpers.study.tables import records


def donor_logic(tables: Tables, config: Config, folder: Folder) -> Iterator[Problem]:
    """Consent, smoking and treatment facts of a donor agree with each other."""
    table = tables["donors"]
    disease = set(config.groups_of("disease"))
    for i, donor in enumerate(records(table.frame)):
        say = about(table, i, donor.donor_id)
        if donor.consent_refused is True and donor.consent_signed is True:
            yield say("consent-contradiction", "Consent is both signed and refused.", "consent_refused", "yes", "no")
        yield from _smoking(donor, say)
        for drug in ("gmcsf", "rituximab", "plasmapheresis", "statin", "steroid"):
            days = getattr(donor, f"prior_{drug}_days_since")
            if getattr(donor, f"prior_{drug}") is False and not pd.isna(days):
                yield say(
                    "treatment-contradiction",
                    "Days since a treatment are given, but the treatment never was.",
                    f"prior_{drug}_days_since",
                    days,
                    "empty",
                )
        if donor.group in disease and donor.diagnosis == "none":
            yield say(
                "diagnosis-contradicts-group",
                "A donor of a disease group has no diagnosis.",
                "diagnosis",
                donor.diagnosis,
                "autoimmune_pap",
            )
        if (
            not pd.isna(donor.group)
            and donor.group not in disease
            and donor.diagnosis in ("autoimmune_pap", "secondary_pap", "hereditary_pap")
        ):
            yield say(
                "diagnosis-contradicts-group",
                "A control donor has a PAP diagnosis.",
                "diagnosis",
                donor.diagnosis,
                "none",
            )


def _smoking(donor: Any, say: Say) -> Iterator[Problem]:
    given, per_day, years = donor.pack_years, donor.cigarettes_per_day, donor.smoking_years
    smoked = [
        (n, v) for n, v in (("pack_years", given), ("cigarettes_per_day", per_day), ("smoking_years", years)) if v > 0
    ]
    if donor.smoking_status == "never" and smoked:
        yield say(
            "smoking-contradiction",
            "A donor who never smoked has a smoking history.",
            smoked[0][0],
            f"{smoked[0][1]:g}",
            "0 or empty",
        )
    if donor.smoking_status in ("ex", "current") and given == 0:
        yield say(
            "smoking-contradiction", "A donor who smoked has 0 pack-years.", "pack_years", "0", "more than 0, or empty"
        )
    if given >= 0 and per_day >= 0 and years >= 0 and abs(given - per_day / 20 * years) > max(1.0, 0.1 * given):
        yield say(
            "pack-years-disagree",
            "Pack-years are not cigarettes per day / 20 × years.",
            "pack_years",
            f"{given:g}",
            f"{per_day / 20 * years:g}",
        )
    if not pd.isna(donor.age_years) and years > donor.age_years:
        yield say(
            "smoking-contradiction",
            "Smoking lasted longer than life.",
            "smoking_years",
            f"{years:g}",
            f"at most {donor.age_years}",
        )
