"""What all tests share: the real reference files, and one simulated study made once a run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Stored notebooks are compared on a fresh demo, and no test reads or fills the user's cache."""
    if hasattr(config, "workerinput"):  # a worker inherits the demo and the cache of the run that started it
        return
    from helpers.simulate import write_demo

    own = Path(tempfile.mkdtemp(prefix="apap-tests-"))
    os.environ["APAP_CACHE"] = str(own / "cache")
    os.environ["APAP_STUDY"] = str(own / "demo")
    write_demo(own / "demo")
    config.add_cleanup(lambda: shutil.rmtree(own, ignore_errors=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many reference tests had no reference data."""
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if "reference data not here" in str(r.longrepr)]
    terminalreporter.write_line(f"reference tests skipped for want of data: {len(skipped)}")


@pytest.fixture(scope="session")
def demo() -> Path:
    """The simulated demo study; read only."""
    return Path(os.environ["APAP_STUDY"])


@pytest.fixture(scope="session")
def report(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's report; read only."""
    from helpers.report.build import build_report

    out = tmp_path_factory.mktemp("report") / "out"
    result = build_report(demo, out)
    assert (result.exit_code, result.index) == (0, out / "index.html")
    return out


@pytest.fixture
def convert(tmp_path: Path) -> Callable[[Path, str], Path]:
    """Opens a file in an office program and saves it in another format."""
    program = shutil.which("soffice")
    if program is None:
        assert os.environ.get("APAP_REQUIRE_OFFICE") != "1", "an office program is mandatory here"
        pytest.skip("no office program (soffice) on this machine")

    def saved(file: Path, kind: str) -> Path:
        profile, out = (tmp_path / "profile").as_uri(), tmp_path / "saved"
        words = ["--headless", f"-env:UserInstallation={profile}", "--convert-to", kind]
        subprocess.run([program, *words, "--outdir", out, file], check=True, capture_output=True, timeout=180)
        return out / file.with_suffix("." + kind.split(":")[0]).name

    return saved


@pytest.fixture
def office(convert: Callable[[Path, str], Path]) -> Callable[[Path], Path]:
    """Opens a workbook in an office program, saves it as .xlsx, and returns what was saved."""
    return lambda file: convert(file, "xlsx:Calc MS Excel 2007 XML")


@pytest.fixture
def as_pdf(convert: Callable[[Path, str], Path]) -> Callable[[Path], str]:
    """Opens a document in an office program, prints it as PDF, and returns the text of its sheets."""
    reader = shutil.which("pdftotext")
    if reader is None:
        assert os.environ.get("APAP_REQUIRE_OFFICE") != "1", "pdftotext is mandatory here"
        pytest.skip("no pdftotext on this machine")

    def text(file: Path) -> str:
        words = [reader, "-layout", convert(file, "pdf"), "-"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    return text


def _reference_folder() -> Path | None:
    named = os.environ.get("APAP_REFERENCE_DATA")
    if named:
        return Path(named)
    default = PROJECT.parent / "shared" / "data"
    return default if default.is_dir() else None


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Folder of real files nobody here wrote; a set but missing folder is a failure, an unset one a skip."""
    folder = _reference_folder()
    if folder is None:
        pytest.skip("reference data not here: set APAP_REFERENCE_DATA to its folder")
    assert folder.is_dir(), "APAP_REFERENCE_DATA is set, but there is no such folder"
    return folder


STUDY_YAML = """\
id: small
title: A small study for tests
simulated: true
groups:
  - {code: apap, label: aPAP, role: disease}
  - {code: control, label: Control, role: control, control_source: diagnostic lavage}
conditions:
  - {code: am, label: AM alone, cells: am, role: reference}
  - {code: am_msc, label: AM + MSC, cells: am_msc, format: direct, msc_am_ratio: 0.2, role: treatment, compare_to: am}
  - {code: msc, label: MSC alone, cells: msc, role: msc_alone}
"""

SMALL_TABLES = {
    "donors.csv": """\
donor_id,group,sex,age_years,consent_signed,consent_before_procedures,diagnosis,smoking_status
D01,apap,male,44,yes,yes,autoimmune_pap,never
D02,apap,female,51,yes,yes,autoimmune_pap,ex
D03,control,male,39,yes,yes,none,current
""",
    "clinical_labs.csv": """\
donor_id,test_code,study_day,value,qualifier,unit,uln,breathing,fio2,calibrator
D01,pao2,-1,58,=,mmHg,,room_air,0.21,
D01,paco2,-1,36,=,mmHg,,room_air,0.21,
D01,gmcsf_ab,-3,22.5,=,ug/ml,,,,polyclonal
D02,pao2,-1,8.1,=,kPa,,room_air,0.21,
D02,creatinine,-1,70,=,umol/L,104,,,
D03,alt,-1,22,=,U/L,40,,,
""",
    "specimens.csv": """\
specimen_id,donor_id,source,viability_pct
S01,D01,wll,92
S02,D02,wll,88
S03,D03,diagnostic_bal,95
""",
    "msc_lots.csv": "msc_lot_id,tissue,passage\nM1,umbilical_cord,5\n",
    "cultures.csv": """\
culture_id,specimen_id,condition,msc_lot_id,timepoint_h,replicate,am_per_well,msc_per_well
C01,S01,am,,24,1,100000,0
C02,S01,am_msc,M1,24,1,100000,20000
C03,S02,am,,24,1,100000,0
C04,S02,am_msc,M1,24,1,100000,20000
C05,S03,am,,24,1,100000,0
C06,S03,am_msc,M1,24,1,100000,20000
C07,,msc,M1,24,1,0,20000
""",
    "measurements.csv": """\
culture_id,readout,replicate,value,qualifier,unit
C01,OilRedO,1,0.52,=,OD
C02,OilRedO,1,0.41,=,OD
C03,OilRedO,1,0.61,=,OD
C04,OilRedO,1,0.38,=,OD
C05,OilRedO,1,0.22,=,OD
C06,OilRedO,1,0.21,=,OD
""",
}


@pytest.fixture
def study_yaml() -> str:
    """The study.yaml of `small_study`."""
    return STUDY_YAML


@pytest.fixture(scope="session")
def written() -> Callable[[Path], Path]:
    """Writes the small study into a folder that is not there yet, whatever its name."""

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True)
        (folder / "study.yaml").write_text(STUDY_YAML, encoding="utf-8")
        for name, text in SMALL_TABLES.items():
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    return write


@pytest.fixture
def small_study(tmp_path: Path, written: Callable[[Path], Path]) -> Path:
    """A study of three donors, written by hand, in which nothing is wrong."""
    return written(tmp_path / "study")
