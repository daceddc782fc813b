"""Files made to harm: each is refused with a sentence or read as plain text, within memory and time, and runs nothing.

Bombs in workbooks are in readers/test_bounds.py, links and pipes in study/test_opening.py, tags in test_broken_studies.py.
"""

from __future__ import annotations

import ast
import csv
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pytest
from typer.testing import CliRunner

from helpers.cli import app
from helpers.core import cache
from helpers.core.files import PROJECT
from helpers.core.problems import Problem, Refused
from helpers.core.schemas import input_tables
from helpers.readers.fcs import read_fcs
from helpers.readers.gate_files import read_gate_file
from helpers.readers.plates import read_plate_file
from helpers.report.build import build_report
from helpers.study.config import read_config
from helpers.study.opening import check_study
from helpers.study.template import write_template

POSIX = pytest.mark.skipif(os.name != "posix", reason="rights of files as Linux and macOS have them")


def codes(read: Callable[[Path, str], object], data: bytes, path: Path) -> set[str]:
    path.write_bytes(data)
    with pytest.raises(Refused) as caught:
        read(path, path.name)
    assert all(p.file == path.name and p.fix for p in caught.value.problems)
    return {p.code for p in caught.value.problems}


# ---- XML

LAUGHS = '<!ENTITY a "ha">' + "".join(f'<!ENTITY {y} "{f"&{x};" * 10}">' for x, y in zip("abcdefgh", "bcdefghi", strict=True))  # fmt: skip
ATTACKS = {
    "billion laughs": f"<!DOCTYPE x [{LAUGHS}]>",
    "external entity": '<!DOCTYPE x [<!ENTITY i SYSTEM "file:///etc/passwd">]>',
    "external document type": '<!DOCTYPE x SYSTEM "http://localhost:1/x.dtd">',
    "parameter entity": '<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///dev/zero"> %p;]>',
}
SPACE = "http://www.isac-net.org/std/Gating-ML/v2.0/gating"
DOCUMENTS = {
    "x.wsp": (read_gate_file, '<Workspace flowJoVersion="10.8.1"><Groups/><SampleList>&i;</SampleList></Workspace>'),
    "x.xml": (read_gate_file, f'<g:Gating-ML xmlns:g="{SPACE}">&i;</g:Gating-ML>'),
    "plate.xml": (read_plate_file, '<BioPlexManager xmlns="http://x/Bio-Plex_5"><Wells>&i;</Wells></BioPlexManager>'),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_xml_defines_or_loads_anything(name: str, attack: str, encoding: str, tmp_path: Path) -> None:
    read, body = DOCUMENTS[name]
    text = f'<?xml version="1.0" encoding="{encoding}"?>{ATTACKS[attack]}{body}'
    assert codes(read, text.encode(encoding), tmp_path / name) == {"xml-entities"}


# ---- FCS


def fcs(**words: str) -> bytes:
    """Two events of two channels, with keywords of any content; HEADER and TEXT agree unless told otherwise."""
    own = {"BYTEORD": "1,2,3,4", "DATATYPE": "F", "MODE": "L", "PAR": "2", "TOT": "2", "NEXTDATA": "0"}
    own |= {"BEGINDATA": "1000", "ENDDATA": "1015"}
    own |= {f"P{n}{k}": v for n in (1, 2) for k, v in {"N": f"F{n}", "B": "32", "R": "1024", "E": "0,0"}.items()}
    own |= words
    text = "|" + "".join(f"${k}|{v}|" for k, v in own.items())
    begin, end = own["BEGINDATA"][-8:], own["ENDDATA"][-8:]
    head = f"FCS3.0    {58:>8}{57 + len(text):>8}{begin:>8}{end:>8}{0:>8}{0:>8}"
    return (head + text).ljust(1000).encode() + bytes(16)


@pytest.mark.parametrize(
    "words",
    [
        {"PAR": "999999999999"}, {"PAR": "1e300"}, {"P1B": "2147483648"}, {"P1B": "1e18"}, {"P1R": "1e300", "P1B": "9999"},
        {"TOT": "99999999999999", "ENDDATA": "99999999"}, {"TOT": "1e300", "BEGINDATA": "99999990", "ENDDATA": "99999999"},
        {"BEGINDATA": "99999999", "ENDDATA": "99999998"}, {"BEGINDATA": "5" * 5000}, {"BEGINSTEXT": "60", "ENDSTEXT": "99999999999"},
    ],
    ids=lambda w: " ".join(w),
)  # fmt: skip
def test_absurd_sizes_of_fcs_files_are_refused_before_memory_is_taken(words: dict[str, str], tmp_path: Path) -> None:
    import tracemalloc

    if len(words.get("BEGINDATA", "")) < 1000:
        data = fcs(**words)
    else:  # keywords of their own length need another place for the data
        data = fcs().replace(b"$BEGINDATA|1000|", b"$BEGINDATA|" + words["BEGINDATA"].encode() + b"|")
    tracemalloc.start()
    assert codes(read_fcs, data, tmp_path / "x.fcs")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_the_same_file_without_absurd_sizes_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.fcs").write_bytes(fcs())
    assert read_fcs(tmp_path / "x.fcs", "x.fcs").n_events == 2
    odd = fcs(P1R="1e300", P1E="300,1", SPILLOVER="999999999,F1,F2")
    (tmp_path / "x.fcs").write_bytes(odd)
    assert read_fcs(tmp_path / "x.fcs", "x.fcs").spillover is None


# ---- long and wide texts

APART = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3_000_000_000,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (25, 25))
from pathlib import Path
from helpers.core.problems import Refused
from helpers.readers.flow_tables import read_flow_table
from helpers.readers.plates import read_plate_file
from helpers.readers.sheets import read_tables
from helpers.readers.uptake_tables import read_uptake_table
start, unit, times, size = sys.argv[1:]
path = Path("x.csv")
with path.open("wb") as out:
    out.write(start.encode().decode("unicode_escape").encode())
    if int(size):
        out.truncate(int(size))  # a hole: no disk
    out.write(unit.encode() * int(times))
read = {"plate": read_plate_file, "flow": read_flow_table, "uptake": read_uptake_table}
for name, function in read.items():
    try:
        function(path, "x.csv")
        print(name, "read")
    except Refused as err:
        print(name, *{p.code for p in err.problems})
print("table", *{p.code for p in read_tables(path, "x.csv")[1]})
"""
XPONENT = "Program,xPONENT\\nDataType:,Median\\nLocation,Sample"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded for a process on Linux alone")
@pytest.mark.parametrize(
    ("unit", "times", "size"),
    [("", 0, 500_000_000), (",IL-6", 1_000_000, 0), (",", 3_000_000, 0), ("x", 20_000_000, 0), ('"', 1_000_001, 0)],
    ids=["500 MB in one line", "a million columns", "commas", "one cell", "quotes"],
)
def test_a_line_of_any_length_is_refused_within_memory_and_time(
    unit: str, times: int, size: int, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", APART, XPONENT, unit, str(times), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    said = {line.partition(" ")[0]: line.partition(" ")[2] for line in done.stdout.splitlines()}
    assert set(said) == {"plate", "flow", "uptake", "table"}
    assert "read" not in said.values()
    assert "reader-failed" not in said["plate"]


# ---- study.yaml


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a, *a, *a]", "a: &a {b: *a}", "a: " + "[" * 100_000, "a: " + "{b: " * 20_000, "? " * 50_000,
        "- " * 50_000, "? [a, b]\n: c", "{a: b}: c", "<<: 3", "9" * 5000 + ": x",  "a: !!python/object/apply:os.system ['touch pwned']", "a: !!binary aGk=", "a: !x {b: c}",
        "x: &x {id: y}\n<<: *x", "id: " + "9" * 1_000_000, "id: 1e999999999", "id: 0x" + "f" * 300_000, "id: 1:" + "59:" * 100_000 + "1",
    ],
    ids=["alias of itself", "map of itself", "deep lists", "deep maps", "deep keys", "deep dashes", "list as key", "map as key", "merge of a number", "long key", "python", "binary", "own tag", "merge", "long number", "huge number", "long hexadecimal", "long sexagesimal"],
)  # fmt: skip
def test_settings_made_to_harm_are_sentences(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.chdir(tmp_path)
    started = time.process_time()
    _, _, problems = read_config(text)
    assert problems and {p.severity for p in problems} == {"error"}
    assert max(len(str(p)) for p in problems) < 3000
    assert time.process_time() - started < 5 and not list(tmp_path.iterdir())


# ---- paths

FILE_COLUMNS = {
    "cytokines/plates": ("instrument_file", "plate_id,instrument_file,platform\nP1,{},luminex\n"),
    "phenotype/samples": ("fcs_file", "fcs_file,culture_id,panel_id,tube_role\n{},C01,P1,stained\n"),
    "phagocytosis/wells": ("file", "phago_id,culture_id,target,minutes,method,file\nF1,C01,bead,60,flow,{}\n"),
}


def test_every_column_that_names_a_file_is_tried() -> None:
    found = {
        (name, field.name)
        for name, schema in input_tables().items()
        for field in schema.fields
        if field.type == "string" and re.fullmatch(r"(.*_)?(file|path|folder|image)(_.*)?", field.name)
    }
    assert found == {(name, column) for name, (column, _) in FILE_COLUMNS.items()}


@pytest.mark.parametrize("table", FILE_COLUMNS)
@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "C:\\Windows\\x", "..\\..\\x", "\\\\host\\share\\x", "a/../../../etc/passwd", "c:x", "file:///etc/passwd"]
)  # fmt: skip
def test_no_column_leads_out_of_the_study(table: str, name: str, small_study: Path) -> None:
    column, text = FILE_COLUMNS[table]
    path = small_study / f"{table}.csv"
    path.parent.mkdir()
    path.write_text(text.format(name), encoding="utf-8")
    (problem,) = [p for p in check_study(small_study) if p.code == "path-outside"]
    assert (problem.severity, problem.row, problem.column) == ("error", 2, column)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:x", "a/b", "..", "a\0b"])
def test_no_setting_leads_out_of_the_study(name: str, small_study: Path, tmp_path: Path) -> None:
    settings = small_study / "study.yaml"
    before = settings.read_text(encoding="utf-8")
    for old in ("id: small", "code: apap,", "code: am,"):
        settings.write_text(before.replace(old, f"{old.split(':')[0]}: {json.dumps(name)}{',' * old.endswith(',')}", 1))
        assert any(p.severity == "error" and p.file == "study.yaml" and p.row for p in check_study(small_study))
    settings.write_text(before + f"phagocytosis: {{gate_set: {json.dumps(name)}}}\n")
    check_study(small_study)  # a name of gates, never of a file


@POSIX
@pytest.mark.parametrize("file", ["study.yaml", "donors.csv", "phenotype/fcs/a.fcs", "cytokines/raw/p.csv", "phagocytosis/raw/f.fcs", "phenotype/g.wsp"])  # fmt: skip
def test_no_link_leads_out_of_the_study(file: str, small_study: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("id: stolen\ntitle: a secret of this machine\n", encoding="utf-8")
    (small_study / file).parent.mkdir(parents=True, exist_ok=True)
    (small_study / file).unlink(missing_ok=True)
    (small_study / file).symlink_to(tmp_path / "secret")
    problems = check_study(small_study)
    assert [p.severity for p in problems if p.code == "link-outside" and p.file == file] == ["error"]
    assert not any("stolen" in str(p) for p in problems)


# ---- text that would run

FORMULA = '=HYPERLINK("http://x.example";"look")'
RUNS = re.compile(r"[=+\-@\t\r](?!$)")
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def is_formula(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return RUNS.match(text) is not None
    return False


def test_names_out_of_an_instruments_file_are_text_in_the_template(tmp_path: Path) -> None:
    (tmp_path / "=1+1.csv").write_text("well,sample,=1+2,@x,+SUM(A1)\nA1,S1,1200,300,4\n", encoding="utf-8")
    write_template(tmp_path / "new", [tmp_path / "=1+1.csv"])
    book = openpyxl.load_workbook(tmp_path / "new" / "template.xlsx")
    cells = [c for sheet in book for line in sheet.iter_rows() for c in line if c.value is not None]
    assert "=1+1.csv" in {c.value for c in cells}
    assert [c.value for c in cells if c.data_type == "f"] == []


def test_no_table_that_a_command_writes_holds_a_formula(tmp_path: Path, small_study: Path) -> None:
    plate, out = tmp_path / "p.csv", tmp_path / "out.csv"
    plate.write_text(f"well,sample,IL-6,@x\nA1,{FORMULA},1200,5\nB1,+1+1,300,4\n", encoding="utf-8")
    assert CliRunner().invoke(app, ["read", str(plate), "--out", str(out)]).exit_code == 0
    donors = small_study / "donors.csv"
    donors.write_text(
        donors.read_text().replace("symptoms", "x").replace("D02,apap", f"{FORMULA.replace(chr(34), '')},@x")
    )
    said = CliRunner().invoke(app, ["check", str(small_study), "--csv"]).stdout
    assert "HYPERLINK" in said and "HYPERLINK" in out.read_text(encoding="utf-8")
    for text in (said, out.read_text(encoding="utf-8")):
        assert [c for line in csv.reader(text.splitlines()) for c in line if is_formula(c)] == []


class _Tags(HTMLParser):
    """Collects what a browser would run of the hostile texts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        for name, value in attrs:
            if (
                value == "alert(1)"
                or (name == "src" and value == "x")
                or (value or "").strip().startswith("javascript:")
            ):
                self.found.append(f"<{tag} {name}={value}>")

    def handle_data(self, data: str) -> None:
        if self.inside == "script" and data.strip() == "alert(1)":
            self.found.append("script")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


def spread(study: Path, mark: str, tables: Sequence[str] = tuple(input_tables())) -> set[tuple[str, str]]:
    """Write a text into every text cell of tables and every setting that takes it; returns where it is now."""
    usual = {p for p in check_study(study) if p.severity in ("error", "quarantine")}
    taken = set()

    def keep(path: Path, text: str) -> bool:
        before = path.read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        if {p for p in check_study(study) if p.severity in ("error", "quarantine")} <= usual:
            return True
        path.write_text(before, encoding="utf-8")
        return False

    for name in tables:
        schema = input_tables()[name]
        path = study / f"{name}.csv"
        for field in schema.fields if path.exists() else ():
            if field.type != "string" or field.codes:
                continue
            with path.open(encoding="utf-8", newline="") as handle:
                rows = list(csv.DictReader(handle))
            lines = [list(dict.fromkeys([*rows[0], field.name]))]
            lines += [[mark if h == field.name else row[h] for h in lines[0]] for row in rows]
            quoted = (",".join('"' + c.replace('"', '""') + '"' for c in line) for line in lines)
            if keep(path, "\n".join(quoted) + "\n"):
                taken.add((name, field.name))
    settings = study / "study.yaml"
    for old in ("A small study for tests", "aPAP", "Control", "diagnostic lavage", "AM alone", "AM + MSC", "MSC alone"):
        if keep(settings, settings.read_text(encoding="utf-8").replace(f": {old}", f": {json.dumps(mark)}", 1)):
            taken.add(("study.yaml", old))
    return taken


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory, written: Callable[[Path], Path]) -> tuple[Path, Path]:
    """A study in a folder whose name is Python, its texts are HTML, and its report with all notebooks."""
    root = tmp_path_factory.mktemp("hostile")
    study = written(root / 'a "); import os; os.mkdir("pwned")\n\'\'\'"""# {study} $(touch pwned) 张')
    (study / "deviations.csv").write_text(
        "entity,entity_id,code,decision,decided_before_unblinding,rule\nculture,C01,other,keep,yes,x\n"
    )
    where = spread(study, SCRIPT)
    assert {("study.yaml", "aPAP"), ("study.yaml", "AM + MSC"), ("donors", "comment")} <= where, where
    assert build_report(study, root / "out").failed == {}
    return study, root / "out"


def test_no_text_of_a_study_becomes_markup(hostile_report: tuple[Path, Path]) -> None:
    pages = sorted(hostile_report[1].rglob("*.html"))
    assert len(pages) > 5
    assert any("&lt;script&gt;alert(1)" in page.read_text(encoding="utf-8") for page in pages)
    for page in pages:
        tags = _Tags()
        tags.feed(page.read_text(encoding="utf-8"))
        assert tags.found == [], page.name


def test_the_name_of_a_folder_is_data_to_a_notebook(hostile_report: tuple[Path, Path]) -> None:
    study, out = hostile_report
    for path in sorted((out / "notebooks").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        cells = [c for c in json.loads(text)["cells"] if "injected-parameters" in c["metadata"].get("tags", ())]
        assert len(cells) == 1
        body = ast.parse("".join(cells[0]["source"])).body
        assert all(isinstance(s, ast.Assign) and isinstance(s.value, ast.Constant) for s in body)
        assert not any(word in text for word in (study.parent.name, "pwned", "张", "5f20")), (
            "the report names no place of this machine"
        )
    assert not list(out.rglob("pwned")) and not Path("pwned").exists()


def test_no_table_of_a_report_holds_a_formula(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helpers.report.build.study_notebooks", dict)
    where = spread(small_study, FORMULA, ["donors", "msc_lots", "measurements"])
    assert {("study.yaml", "aPAP"), ("donors", "comment")} <= where
    build_report(small_study, tmp_path / "out")
    for path in (tmp_path / "out").rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as handle:
            assert [c for line in csv.reader(handle) for c in line if is_formula(c)] == [], path.name
    for path in (tmp_path / "out").rglob("*.xlsx"):
        book = openpyxl.load_workbook(path)
        assert [c.coordinate for s in book for line in s.iter_rows() for c in line if c.data_type == "f"] == []


# ---- the cache

CALLS: list[str] = []


@cache.remember("core")
def answer(digest: str) -> str:
    CALLS.append(digest)
    return digest.upper()


class Run:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """Fill a cache folder, and put a pickle that runs into every entry; returns the file that it would make."""

    def plant(root: Path) -> Path:
        fine = tmp_path / "fine"
        monkeypatch.setenv("APAP_CACHE", str(fine))
        assert answer("x") == "X"
        root.parent.mkdir(parents=True, exist_ok=True)
        fine.rename(root)
        for entry in root.rglob("output.pkl"):
            entry.write_bytes(pickle.dumps(Run(tmp_path / "pwned")))
        monkeypatch.setenv("APAP_CACHE", str(root))
        cache._memory.cache_clear()
        cache._distrusted.cache_clear()
        CALLS.clear()
        return tmp_path / "pwned"

    return plant


def test_the_planted_pickle_would_run_in_a_trusted_folder(planted: Callable[[Path], Path], tmp_path: Path) -> None:
    made = planted(tmp_path / "mine")
    answer("x")
    assert made.exists(), "else the tests below prove nothing"


@pytest.mark.parametrize("place", ["cache", ".apap/cache", "cytokines/raw/.cache"])
def test_a_cache_that_came_with_a_study_is_never_read(
    place: str, planted: Callable[[Path], Path], small_study: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = planted(small_study / place)
    assert [answer("x"), answer("x")] == ["X", "X"] and CALLS == ["x", "x"] and not made.exists()
    assert [r.levelname for r in caplog.records].count("WARNING") == 1 and "study folder" in caplog.text


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o722])
def test_a_cache_that_others_can_write_is_never_read(
    mode: int, planted: Callable[[Path], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = planted(tmp_path / "shared")
    (tmp_path / "shared").chmod(mode)
    assert answer("x") == "X" and CALLS == ["x"] and not made.exists()
    assert "other users" in caplog.text


@POSIX
def test_a_cache_of_another_user_is_never_read(
    planted: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = planted(tmp_path / "other")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert answer("x") == "X" and CALLS == ["x"] and not made.exists()


@POSIX
def test_an_empty_folder_that_others_can_write_becomes_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new").chmod(0o775)
    monkeypatch.setenv("APAP_CACHE", str(tmp_path / "new"))
    assert answer("y") == "Y"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700 and any((tmp_path / "new").iterdir())


def test_a_study_that_was_handed_over_is_read_without_any_cache_of_its_own(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the cache is never looked for beside the data, whatever lies there."""
    monkeypatch.delenv("APAP_CACHE")
    monkeypatch.chdir(small_study)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert small_study not in cache.cache_root().resolve().parents
    assert PROJECT not in cache.cache_root().resolve().parents


def test_problems_are_plain_sentences() -> None:
    said = str(Problem("error", "x", "Wrong.", "Mend.", file="a.csv", found=SCRIPT * 100))
    assert len(said) < 200
