"""Gas exchange, severity and smoking: the formulas, each with its source and units.

Scalars or NumPy arrays go in and come out; a missing number is NaN and stays NaN.
"""

from __future__ import annotations

import math
from typing import Any

MMHG_PER_KPA = 7.50061682704
SIMPLIFIED_UP_TO_FIO2 = 0.3


def alveolar_po2_full_mmhg(
    pb_mmhg: float, fio2: float, paco2_mmhg: float, rq: float = 0.8, ph2o_mmhg: float = 47.0
) -> float:
    """Alveolar oxygen pressure by the full alveolar gas equation.

    (PB − PH2O)·FiO2 − PaCO2·(FiO2 + (1 − FiO2)/R), Fenn, Rahn and Otis 1946.

    Parameters
    ----------
    pb_mmhg, ph2o_mmhg, paco2_mmhg
        Barometric, water vapour and arterial carbon dioxide pressure, mmHg.
    fio2
        Inspired oxygen fraction.
    rq
        Respiratory quotient R.

    Returns
    -------
    mmHg.

    Examples
    --------
    >>> round(alveolar_po2_full_mmhg(760, 0.21, 40), 1)
    101.8
    """
    return (pb_mmhg - ph2o_mmhg) * fio2 - paco2_mmhg * (fio2 + (1 - fio2) / rq)


def alveolar_po2_simplified_mmhg(
    pb_mmhg: float, fio2: float, paco2_mmhg: float, rq: float = 0.8, ph2o_mmhg: float = 47.0
) -> float:
    """Alveolar oxygen pressure by the simplified equation, (PB − PH2O)·FiO2 − PaCO2/R.

    The form that papers on alveolar proteinosis use (Lin 2006); good near room air only. Units as in
    `alveolar_po2_full_mmhg`.

    Examples
    --------
    >>> round(alveolar_po2_simplified_mmhg(760, 0.21, 40), 2)
    99.73
    """
    return (pb_mmhg - ph2o_mmhg) * fio2 - paco2_mmhg / rq


def chosen_equation(setting: str, fio2: float) -> str:
    """Which equation counts: as set, or for ``auto`` the simplified one up to FiO2 0.3 and the full one above.

    Examples
    --------
    >>> chosen_equation("auto", 0.21), chosen_equation("auto", 1.0), chosen_equation("full", 0.21)
    ('simplified', 'full', 'full')
    """
    if setting != "auto":
        return setting
    return "simplified" if fio2 <= SIMPLIFIED_UP_TO_FIO2 else "full"


def on_room_air(fio2: Any) -> Any:
    """Whether an inspired oxygen fraction is that of room air as records round it, 0.20 to 0.22; not known is no.

    Examples
    --------
    >>> on_room_air(0.21), on_room_air(0.35), on_room_air(math.nan)
    (True, False, False)
    """
    return (fio2 >= 0.20) & (fio2 <= 0.22)


def shunt_estimate_pct(aa_gradient_mmhg: float, av_content_vol_pct: float = 5.0) -> float:
    """Shunt fraction on pure oxygen without a catheter, percent.

    0.0031·(A−a) / (0.0031·(A−a) + C(a−v)); 0.0031 ml O2 per 100 ml blood and mmHg. The assumed
    arteriovenous difference moves the answer: see the worked case of Toffaletti and Zavorsky 2026.

    Parameters
    ----------
    aa_gradient_mmhg
        Alveolar–arterial gradient at FiO2 1.0 after at least 20 minutes, mmHg.
    av_content_vol_pct
        Arteriovenous oxygen content difference, ml per 100 ml.

    Examples
    --------
    >>> round(shunt_estimate_pct(80), 2)
    4.73
    """
    dissolved = 0.0031 * aa_gradient_mmhg
    return 100 * dissolved / (dissolved + av_content_vol_pct)


def disease_severity_score(pao2_mmhg: float, symptoms: bool | None) -> str:
    """Disease severity score of autoimmune PAP on room air (Inoue 2008), ``1`` to ``5``.

    1: no symptoms and PaO2 ≥ 70; 2: symptoms and PaO2 ≥ 70; 3: 60 to under 70; 4: 50 to under 60; 5: under
    50 mmHg. Where symptoms are not recorded and PaO2 is at least 70, ``1-2``; empty without PaO2.

    Examples
    --------
    >>> disease_severity_score(65, None), disease_severity_score(70, False), disease_severity_score(70, None)
    ('3', '1', '1-2')
    """
    if math.isnan(pao2_mmhg):
        return ""
    if pao2_mmhg < 50:
        return "5"
    if pao2_mmhg < 60:
        return "4"
    if pao2_mmhg < 70:
        return "3"
    if symptoms is None:
        return "1-2"
    return "2" if symptoms else "1"


def pack_years(given: float, status: str | None, cigarettes_per_day: float, years: float) -> float:
    """Pack-years: as given, else cigarettes per day / 20 × years, else 0 for a never-smoker, else NaN.

    Examples
    --------
    >>> pack_years(float("nan"), "ex", 20, 10), pack_years(float("nan"), "never", float("nan"), float("nan"))
    (10.0, 0.0)
    """
    if not math.isnan(given):
        return given
    derived = cigarettes_per_day / 20 * years
    if math.isnan(derived) and status == "never":
        return 0.0
    return derived
