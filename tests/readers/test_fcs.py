"""FCS files: real ones against FlowIO, flowCore and FlowCal; odd ones read and said; damaged ones refused."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flowio
import numpy as np
import pandas as pd
import pytest

from helpers.core.problems import Refused
from helpers.readers.fcs import FcsFile, read_fcs, read_fcs_header

CHANNELS = ("FSC-A", "FITC-A", "PE-A", "Time")
NUMBERS = np.array([[10.0, 100.0, 7.0, 0.0], [20.0, 250.5, -3.0, 100.0], [30.0, 1000.0, 0.5, 200.0]], dtype=np.float32)


def fcs_bytes(
    stored: bytes,
    channels: Sequence[str] = CHANNELS,
    words: dict[str, str] | None = None,
    *,
    bits: Sequence[int] = (32, 32, 32, 32),
    version: str = "FCS3.0",
    delimiter: str = "|",
    n_events: int = 3,
    header: tuple[int, int] | None = None,
    stated: tuple[int, int] | None = None,
) -> bytes:
    """An FCS file written by hand, so that everything in it can be wrong; a value of None leaves a keyword out."""
    own = {"BYTEORD": "1,2,3,4", "DATATYPE": "F", "MODE": "L", "NEXTDATA": "0", "PAR": str(len(channels))}
    keywords: dict[str, Any] = {f"${k}": v for k, v in own.items()} | {"$TOT": str(n_events)}
    for n, (name, width) in enumerate(zip(channels, bits, strict=True), start=1):
        keywords |= {f"$P{n}N": name, f"$P{n}B": str(width), f"$P{n}R": "1024", f"$P{n}E": "0,0"}
    keywords |= words or {}
    begin, text = 2000, b""
    end = begin + len(stored) - 1
    shown = stated or (begin, end)
    if version != "FCS2.0":
        keywords = {"$BEGINDATA": str(shown[0]), "$ENDDATA": str(shown[1]), **keywords}
    kept = {k: v for k, v in keywords.items() if v is not None}
    text = (delimiter + "".join(f"{k}{delimiter}{v}{delimiter}" for k, v in kept.items())).encode()
    assert 58 + len(text) < begin
    first, last = header or (begin, end)
    head = f"{version}    {58:>8}{57 + len(text):>8}{first:>8}{last:>8}{0:>8}{0:>8}".encode()
    return (head + text).ljust(begin) + stored


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], FcsFile]:
    def from_bytes(data: bytes) -> FcsFile:
        path = tmp_path / "a.fcs"
        path.write_bytes(data)
        return read_fcs(path, "fcs/a.fcs")

    return from_bytes


def said(fcs: FcsFile, severity: str) -> set[str]:
    return {p.code for p in fcs.problems if p.severity == severity}


def refused(read: Callable[[bytes], FcsFile], data: bytes) -> set[str]:
    with pytest.raises(Refused) as caught:
        read(data)
    assert all(p.file == "fcs/a.fcs" and p.message.endswith(".") for p in caught.value.problems)
    return {p.code for p in caught.value.problems if p.severity == "error"}


FLOATS = NUMBERS.tobytes()


# ---- real files


def real_files(folder: Path) -> list[Path]:
    return sorted((folder / "flow").rglob("*.fcs"))


def test_every_real_file_has_the_values_that_flowio_reads(reference_data: Path) -> None:
    alike = 0
    for path in real_files(reference_data):
        fcs = read_fcs(path, path.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peer = flowio.FlowData(str(path), ignore_offset_error=True)
        if peer.events is None:  # 24-bit integers, which FlowIO does not read
            assert {c.bits for c in fcs.channels} == {24}
            continue
        assert np.array_equal(fcs.events, peer.as_array())
        assert fcs.names == tuple(peer.pnn_labels)
        alike += 1
    assert alike == 31


def test_every_raw_median_and_mean_of_flowcore(reference_data: Path) -> None:
    """flowCore divides by no gain and does not scale Time: the recorded factors give its numbers back."""
    compared = 0
    for table in sorted((reference_data / "flow").rglob("*.flowcore.csv")):
        path = next((reference_data / "flow").rglob(table.name.removesuffix(".flowcore.csv")))
        fcs = read_fcs(path, path.name)
        expected = pd.read_csv(table).set_index("channel")
        for i, channel in enumerate(fcs.channels):
            values = fcs.events[:, i] * channel.gain / channel.time_step
            row = expected.loc[channel.name]
            assert fcs.n_events == row["n_events"]
            assert (np.median(values), values.mean()) == pytest.approx((row["raw_median"], row["raw_mean"]), rel=1e-9)
            compared += 1
    assert compared > 150


def test_24_bit_integers_hold_the_events_that_flowcal_kept(reference_data: Path) -> None:
    fcs = read_fcs(reference_data / "flow/flowcal/Data003.fcs", "Data003.fcs")
    stored = np.empty_like(fcs.events)
    for i, c in enumerate(fcs.channels):
        column = fcs.events[:, i] * c.gain / c.time_step
        stored[:, i] = c.range * np.log10(column / c.log_zero) / c.decades if c.decades else column
    kept = np.load(reference_data / "flow/flowcal/Data003_gate_density2d.npy")
    ours = {tuple(row) for row in np.rint(stored).astype(int).tolist()}
    assert all(tuple(row) in ours for row in kept.tolist())


def test_24_bit_integers_reach_the_saturation_that_flowcal_reports(reference_data: Path) -> None:
    fcs = read_fcs(reference_data / "flow/flowcal/sample001.fcs", "sample001.fcs")
    peaks = pd.read_csv(reference_data / "flow/flowcal/flowcal_beads_peaks.csv")
    top = fcs.events[:, fcs.names.index("FL2")].max()
    assert top == pytest.approx(peaks["FL2_median_rfi"].max(), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "severity", "code"),
    [
        ("flowkit/test_comp_example.fcs", "repaired", "data-offset"),
        ("flowkit/test_comp_example.fcs", "warning", "spillover-identity"),
        ("peacoqc/111.fcs", "warning", "spillover-partial"),
        ("saeys_mouse_spleen/Macrophage.fcs", "warning", "no-marker-names"),
        ("flowkit/gate_ref/data1.fcs", "repaired", "empty-values"),
        ("flowkit/100715.fcs", "repaired", "private-keywords"),
    ],
)
def test_what_is_odd_in_real_files_is_said(reference_data: Path, name: str, severity: str, code: str) -> None:
    fcs = read_fcs(reference_data / "flow" / name, name)
    assert code in said(fcs, severity)


def test_real_files_without_oddities_are_read_without_warnings(reference_data: Path) -> None:
    for name in ("flowkit/100715.fcs", "cytonorm/Gates_PTLG021_Unstim_Control_1.fcs"):
        assert said(read_fcs(reference_data / "flow" / name, name), "warning") == set()


def test_the_five_detectors_outside_the_matrix_are_named(reference_data: Path) -> None:
    fcs = read_fcs(reference_data / "flow/peacoqc/111.fcs", "111.fcs")
    assert fcs.spillover is not None and len(fcs.spillover.channels) == 13
    found = next(p.found for p in fcs.problems if p.code == "spillover-partial")
    assert set(found.split(", ")) == {"B710-A", "V705-A", "V655-A", "V605-A", "V565-A"}


def test_header_alone_says_the_same(reference_data: Path) -> None:
    for path in real_files(reference_data)[::3]:
        header, fcs = read_fcs_header(path, path.name), read_fcs(path, path.name)
        assert (header.n_events, header.channels, header.cytometer) == (fcs.n_events, fcs.channels, fcs.cytometer)
        assert set(header.problems) <= set(fcs.problems)
        assert not hasattr(header, "events")


# ---- convention


def test_gain_time_step_and_factors(read: Callable[[bytes], FcsFile]) -> None:
    words = {"$P2G": "4", "$P4G": "0.01", "$TIMESTEP": "0.5", "$P2V": "450"}
    fcs = read(fcs_bytes(FLOATS, words=words))
    expected = NUMBERS.astype(float) * [1, 0.25, 1, 0.5]
    assert np.array_equal(fcs.events, expected)
    time, fitc = fcs.channels[3], fcs.channels[1]
    assert (fitc.gain, fitc.voltage, time.gain, time.time_step, fcs.time_step) == (4, 450, 1, 0.5, 0.5)
    assert "$TIMESTEP" in fcs.convention


@pytest.mark.parametrize("order", ["1,2,3,4", "4,3,2,1"])
@pytest.mark.parametrize("width", [8, 16, 24, 32, 40, 64])
def test_integers_of_every_width_and_order(read: Callable[[bytes], FcsFile], width: int, order: str) -> None:
    numbers = [[1, 200, 3, 4], [250, 6, 127, 8]]
    way = "little" if order.startswith("1") else "big"
    stored = b"".join(n.to_bytes(width // 8, way) for row in numbers for n in row)
    words = {"$DATATYPE": "I", "$BYTEORD": order}
    fcs = read(fcs_bytes(stored, words=words, bits=[width] * 4, n_events=2))
    assert fcs.events.tolist() == numbers


def test_integers_of_mixed_width_mask_and_log_scale(read: Callable[[bytes], FcsFile]) -> None:
    stored = struct.pack("<HBI", 512, 7, 5) + struct.pack("<HBI", 0xFC00 + 256, 8, 6)
    words = {"$DATATYPE": "I", "$P1E": "4,0.1", "$P2R": "256", "$P3R": "4294967296"}
    fcs = read(fcs_bytes(stored, ("FL1-H", "FL2-H", "FL3-H"), words, bits=(16, 8, 32), n_events=2))
    assert fcs.events == pytest.approx(np.array([[10.0, 7, 5], [1.0, 8, 6]]))
    assert "above-range" in said(fcs, "warning"), "0xFC00 lies above the range of 1024"


def test_doubles(read: Callable[[bytes], FcsFile]) -> None:
    numbers = (NUMBERS.astype(float) / 3).astype(">f8")
    words = {"$DATATYPE": "D", "$BYTEORD": "8,7,6,5,4,3,2,1"}
    fcs = read(fcs_bytes(numbers.tobytes(), words=words, bits=[64] * 4))
    assert np.array_equal(fcs.events, numbers)


@pytest.mark.parametrize("version", ["FCS2.0", "FCS3.0", "FCS3.1"])
def test_every_version(read: Callable[[bytes], FcsFile], version: str) -> None:
    fcs = read(fcs_bytes(FLOATS, version=version))
    assert fcs.version == version[3:] and np.array_equal(fcs.events, NUMBERS)


def test_files_that_flowio_writes(read: Callable[[bytes], FcsFile]) -> None:
    out = io.BytesIO()
    flowio.create_fcs(out, array("f", NUMBERS.ravel()), list(CHANNELS), ["", "CD14/CD16", "CD206", ""])
    fcs = read(out.getvalue())
    assert np.array_equal(fcs.events, NUMBERS) and [c.marker for c in fcs.channels] == ["", "CD14/CD16", "CD206", ""]


# ---- oddities are read and said


@pytest.mark.parametrize("delimiter", ["|", "/", "\\", "\x0c", "\x1e", "!", "^", ".", "*"])
def test_empty_values_and_every_delimiter(read: Callable[[bytes], FcsFile], delimiter: str) -> None:
    words = {"$P1S": "", "$P2S": "CD11b", "$P3S": "", "$P4S": "", "$COM": ""}
    fcs = read(fcs_bytes(FLOATS, ("FSC", "FITC", "PE", "Time"), words, delimiter=delimiter))
    assert fcs.names == ("FSC", "FITC", "PE", "Time")
    assert [c.marker for c in fcs.channels] == ["", "CD11b", "", ""]
    assert np.array_equal(fcs.events, NUMBERS) and "empty-values" in said(fcs, "repaired")


def test_markers_in_other_encodings(read: Callable[[bytes], FcsFile]) -> None:
    data = fcs_bytes(FLOATS, words={"$P2S": "XXXX", "$P3S": "YYYYY"})
    latin = read(data.replace(b"YYYYY", "CD3 µ".encode("cp1252")))
    assert latin.channels[2].marker == "CD3 µ" and "cp1252" in said(latin, "repaired")
    chinese = read(data.replace(b"XXXX", "活细".encode("gb18030")))
    assert chinese.channels[1].marker == "活细" and "gb18030" in said(chinese, "repaired")


def test_keywords_that_stand_after_the_data(read: Callable[[bytes], FcsFile]) -> None:
    more = b"|$P2S|CD206|$P3S|CD80|"
    words = {"$BEGINSTEXT": "2048", "$ENDSTEXT": str(2047 + len(more))}
    fcs = read(fcs_bytes(FLOATS, words=words) + more)
    assert [c.marker for c in fcs.channels] == ["", "CD206", "CD80", ""] and np.array_equal(fcs.events, NUMBERS)


@pytest.mark.parametrize("cut_bytes", [2, 4, 6])
def test_keywords_that_end_in_the_middle(read: Callable[[bytes], FcsFile], cut_bytes: int) -> None:
    """TEXT ends with “|$P4E|0,0|”: in the value, after the key, in the key."""
    data = fcs_bytes(FLOATS)
    end = int(data[18:26]) - cut_bytes
    fcs = read(data[:18] + f"{end:>8}".encode() + data[26:])
    assert "text-end" in said(fcs, "warning")


def test_one_name_for_two_channels(read: Callable[[bytes], FcsFile]) -> None:
    fcs = read(fcs_bytes(FLOATS, ("FSC-A", "FL1-A", "FL1-A", "Time")))
    assert fcs.names == ("FSC-A", "FL1-A [2]", "FL1-A [3]", "Time") and "channel-name-twice" in said(fcs, "repaired")


def test_a_channel_without_a_name(read: Callable[[bytes], FcsFile]) -> None:
    fcs = read(fcs_bytes(FLOATS, words={"$P2N": None, "$P3R": "garbage"}))
    assert fcs.names[1] == "P2" and "channel-name" in said(fcs, "repaired")
    assert np.isnan(fcs.channels[2].range)


@pytest.mark.parametrize(
    ("words", "severity", "code"),
    [
        ({"$P2E": "4,1"}, "warning", "amplification"),
        ({"$P2E": "four"}, "warning", "amplification"),
        ({"$P2G": "high"}, "warning", "gain"),
        ({"$TIMESTEP": "soon"}, "warning", "time-step"),
        ({"$MODE": None}, "repaired", "mode"),
        ({"$NEXTDATA": "4000"}, "warning", "several-data-sets"),
        ({"$TOT": None}, "warning", "event-count"),
        ({"$TOT": "-3"}, "warning", "event-count"),
        ({"$TOT": "2"}, "warning", "event-count"),
        ({"$TOT": "999999999999"}, "warning", "event-count"),
        ({"$DFC1TO2": "12.5"}, "warning", "spillover-old"),
        ({"$p2n": "other"}, "warning", "keyword-twice"),
    ],
)
def test_odd_keywords_leave_the_values_alone(
    read: Callable[[bytes], FcsFile], words: dict[str, str], severity: str, code: str
) -> None:
    fcs = read(fcs_bytes(FLOATS, words=words))
    assert np.array_equal(fcs.events, NUMBERS) and code in said(fcs, severity)


@pytest.mark.parametrize(
    ("header", "stated", "severity"),
    [
        ((0, 0), None, None),  # a large file: the 8 characters of HEADER do not suffice
        ((1900, 1960), None, "repaired"),
        (None, (1900, 1960), "repaired"),
        ((2000, 2048), (2000, 2048), "repaired"),  # end one too far
        ((2000, 0), (0, 0), "repaired"),
        ((2000, 2058), (2000, 2058), "repaired"),  # bytes after the last event
    ],
)
def test_offsets_that_one_other_statement_overrules(
    read: Callable[[bytes], FcsFile], header: tuple[int, int], stated: tuple[int, int], severity: str | None
) -> None:
    fcs = read(fcs_bytes(FLOATS, header=header, stated=stated) + b" " * 20)
    assert np.array_equal(fcs.events, NUMBERS)
    assert ("data-offset" in said(fcs, severity)) if severity else not said(fcs, "repaired")


def test_values_that_are_no_numbers_are_kept_and_said(read: Callable[[bytes], FcsFile]) -> None:
    numbers = NUMBERS.copy()
    numbers[1, 1] = np.nan
    fcs = read(fcs_bytes(numbers.tobytes()))
    assert np.isnan(fcs.events[1, 1]) and "not-finite" in said(fcs, "warning")


def test_bytes_in_the_wrong_order_are_noticed(read: Callable[[bytes], FcsFile]) -> None:
    assert "absurd-values" in said(read(fcs_bytes(FLOATS, words={"$BYTEORD": "4,3,2,1"})), "warning")


def test_no_events(read: Callable[[bytes], FcsFile]) -> None:
    fcs = read(fcs_bytes(b"", n_events=0, header=(0, 0), stated=(0, 0)))
    assert fcs.events.shape == (0, 4) and "no-events" in said(fcs, "warning")


# ---- spillover


def spill(names: Sequence[str], matrix: Sequence[float]) -> dict[str, str]:
    return {"$SPILLOVER": ",".join([str(len(names)), *names, *map(str, matrix)])}


@pytest.mark.parametrize("names", [("2", "3"), ("P2", "P3"), ("fitc-a", "pe-A"), ("CD206", "CD80")])
def test_matrices_that_name_channels_otherwise(read: Callable[[bytes], FcsFile], names: tuple[str, str]) -> None:
    words = spill(names, (1, 0.2, 0.1, 1)) | {"$P2S": "CD206", "$P3S": "CD80"}
    fcs = read(fcs_bytes(FLOATS, words=words))
    assert fcs.spillover is not None and fcs.spillover.channels == ("FITC-A", "PE-A")
    assert fcs.spillover.matrix.tolist() == [[1, 0.2], [0.1, 1]] and "spillover-names" in said(fcs, "repaired")


@pytest.mark.parametrize(
    ("words", "code", "usable"),
    [
        (spill(("FITC-A", "PE-A"), (1, 0.0004, 0, 1)), "spillover-identity", True),
        (spill(("FITC-A", "PE-A"), (100, 20, 10, 100)), "spillover-diagonal", True),
        (spill(("FITC-A", "PE-A"), (1, 1, 1, 1)), "spillover-singular", False),
        (spill(("FITC-A", "APC-A"), (1, 0.1, 0, 1)), "spillover-names", False),
        (spill(("FITC-A", "FITC-A"), (1, 0.1, 0, 1)), "spillover-names", False),
        (spill(("FITC-A", "PE-A"), (1, 0.1, 0)), "spillover-unreadable", False),
        ({"$SPILLOVER": "2,FITC-A,PE-A,1,a,b,1"}, "spillover-unreadable", False),
        ({"$SPILLOVER": "999999999999,FITC-A"}, "spillover-unreadable", False),
        ({"SPILL": "1,FITC-A,1"}, "spillover-partial", True),
    ],
)
def test_odd_matrices(read: Callable[[bytes], FcsFile], words: dict[str, str], code: str, usable: bool) -> None:
    fcs = read(fcs_bytes(FLOATS, words=words))
    assert code in said(fcs, "warning") and (fcs.spillover is not None) == usable
    assert np.array_equal(fcs.events, NUMBERS)


def test_height_and_width_columns_are_left_raw_and_said(read: Callable[[bytes], FcsFile]) -> None:
    channels = ("FITC-A", "FITC-H", "PE-A", "PE-W")
    fcs = read(fcs_bytes(FLOATS, channels, spill(("FITC-A", "PE-A"), (1, 0.2, 0.1, 1))))
    assert "spillover-height-width" in said(fcs, "repaired") and "spillover-partial" not in said(fcs, "warning")


def test_exported_compensated_channels_are_not_compensated_again(read: Callable[[bytes], FcsFile]) -> None:
    words = spill(("FITC-A", "PE-A"), (1, 0.2, 0.1, 1))
    fcs = read(fcs_bytes(FLOATS, ("FSC-A", "FJComp-FITC-A", "FJComp-PE-A", "Time"), words))
    assert fcs.spillover is None and "spillover-applied" in said(fcs, "warning")


# ---- identities


def test_no_identity_leaves_the_reader(read: Callable[[bytes], FcsFile]) -> None:
    private = {
        "$DATE": "05-MAR-2023",
        "$OP": "Zhang San",
        "$FIL": "Wang_Wei_BAL.fcs",
        "$EXP": "Dr. Li Lei",
        "$SRC": "Wang Wei",
        "$SMNO": "H00123456",
        "$COM": "电话13800138000",
        "$INST": "Third Hospital",
        "PATIENT ID": "110101199003074514",
        "SAMPLE NAME": "王伟",
        "EXPERIMENT NAME": "Wang Wei lavage",
        "$CYT": "LSRII of wang@example.org",
        "$P2S": "CD80 13800138000",
        "my note": "Zhao Min",
    }
    fcs = read(fcs_bytes(FLOATS, words=private | {"CREATOR": "BD FACSDiva 8.0.1"}))
    shown = repr(fcs) + "".join(map(str, fcs.problems))
    for secret in ("2023", "Zhang", "Wang", "Li Lei", "0123456", "138001", "Hospital", "1990", "王", "example", "Zhao"):
        assert secret not in shown
    assert fcs.cytometer == {"CREATOR": "BD FACSDiva 8.0.1"} and fcs.channels[1].marker == "CD80 •••"
    assert [p.code for p in fcs.problems].count("private-keywords") == 1


# ---- damaged files


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not-fcs"),
        (b"FCS3.0", "not-fcs"),
        (b"PK\x03\x04" * 50, "not-fcs"),
        (fcs_bytes(FLOATS, version="FCS1.0"), "fcs-version"),
        (fcs_bytes(FLOATS)[:1000], "truncated"),
        (fcs_bytes(FLOATS)[:300], "text-segment"),
        (fcs_bytes(FLOATS)[:2020], "truncated"),
        (fcs_bytes(FLOATS)[:58], "text-segment"),
        (fcs_bytes(FLOATS, words={"$PAR": "1000000000"}), "channel-count"),
        (fcs_bytes(FLOATS, words={"$PAR": "3"}), "channel-count"),
        (fcs_bytes(FLOATS, words={"$PAR": "0"}), "channel-count"),
        (fcs_bytes(FLOATS, words={"$PAR": None}), "channel-count"),
        (fcs_bytes(FLOATS, words={"$PAR": "5"}), "channel-bits"),
        (fcs_bytes(FLOATS, words={"$P2B": "16"}), "channel-bits"),
        (fcs_bytes(FLOATS, words={"$P2B": "*"}), "channel-bits"),
        (fcs_bytes(FLOATS, words={"$DATATYPE": "I", "$P1B": "10"}), "channel-bits"),
        (fcs_bytes(FLOATS, words={"$DATATYPE": "I", "$P1R": "-1"}), "channel-range"),
        (fcs_bytes(FLOATS, words={"$DATATYPE": "I", "$P1B": "16"}), "data-size"),
        (fcs_bytes(FLOATS, words={"$DATATYPE": "A"}), "data-type"),
        (fcs_bytes(FLOATS, words={"$MODE": "C"}), "mode"),
        (fcs_bytes(FLOATS, words={"$BYTEORD": "3,4,1,2"}), "byte-order"),
        (fcs_bytes(FLOATS, words={"$P2N": "x" * 300}), "channel-name"),
        (fcs_bytes(FLOATS, header=(0, 0), stated=(0, 0)), "data-offset"),
        (fcs_bytes(FLOATS, header=(2000, 2047), stated=(1900, 1947)), "data-offset"),
        (fcs_bytes(FLOATS, header=(1990, 2050), stated=(1900, 2022)), "data-offset"),
        (fcs_bytes(FLOATS, header=(99999999, 99999999), stated=(0, 0)), "truncated"),
        (fcs_bytes(FLOATS, header=(2000, 2029), stated=(2000, 2029)), "data-size"),
        (fcs_bytes(FLOATS).replace(b"    2000", b"    2O00", 1), "header-offset"),
    ],
)
def test_damaged_files_are_refused_and_say_what_is_wrong(
    read: Callable[[bytes], FcsFile], data: bytes, code: str
) -> None:
    assert code in refused(read, data)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be opened"):
        read_fcs(tmp_path / "none.fcs", "none.fcs")


def test_everything_wrong_with_the_channels_is_said_at_once(read: Callable[[bytes], FcsFile]) -> None:
    with pytest.raises(Refused) as caught:
        read(fcs_bytes(FLOATS, words={"$P1B": "12", "$P3B": "", "$MODE": "U"}))
    assert {p.column for p in caught.value.problems} >= {"$P1B", "$P3B", "$MODE"}


def test_a_huge_but_consistent_file_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path, n_events = tmp_path / "huge.fcs", 80_000_000
    span = (2000, 2000 + 16 * n_events - 1)
    path.write_bytes(fcs_bytes(b"", n_events=n_events, header=(0, 0), stated=span))
    with path.open("r+b") as handle:
        handle.truncate(span[1] + 1)  # a hole, no disk
    tracemalloc.start()
    with pytest.raises(Refused, match="1 GB"):
        read_fcs(path, "huge.fcs")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


# ---- mutations


def seeds() -> list[bytes]:
    """Four small files: floats by FlowIO, floats with a matrix, 16-bit and 24-bit integers."""
    rng = np.random.default_rng(1)
    out = io.BytesIO()
    flowio.create_fcs(
        out, array("f", rng.normal(500, 200, 240).astype(np.float32)), list(CHANNELS), ["", "CD3", "", ""]
    )
    floats = rng.normal(500, 200, (60, 4)).astype(np.float32)
    integers = rng.integers(0, 1024, (60, 4))
    wide = integers.astype("<u4").view(np.uint8).reshape(60, 4, 4)[:, :, :3]
    matrix = spill(("FITC-A", "PE-A"), (1, 0.2, 0.1, 1)) | {"$OP": "A B", "$TIMESTEP": "0.01"}
    whole = {"$DATATYPE": "I", "$P1E": "4,1"}
    return [
        out.getvalue(),
        fcs_bytes(floats.tobytes(), words=matrix, n_events=60),
        fcs_bytes(integers.astype("<u2").tobytes(), words=whole, bits=[16] * 4, n_events=60),
        fcs_bytes(wide.tobytes(), words=whole, bits=[24] * 4, n_events=60, version="FCS2.0"),
    ]


ABSURD = (b"0", b"-1", b"1", b"61", b"99999999", b"999999999999999999", b"1e308", b"nan", b"", b"\xff\xfe", b"2,1")
LAYOUT = (b"$TOT", b"$PAR", b"$P1B", b"$P3B", b"$BEGINDATA", b"$ENDDATA", b"$DATATYPE", b"$BYTEORD", b"$MODE")
LAYOUT += (b"$NEXTDATA", b"$BEGINSTEXT", b"$ENDSTEXT")


def keyword_mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One layout keyword with an absurd value of the same length, so that nothing else moves."""
    delimiter = data[int(data[10:18]) : int(data[10:18]) + 1]
    key = LAYOUT[rng.integers(len(LAYOUT))]
    at = data.find(key + delimiter)
    if at < 0:
        return data
    at += len(key) + 1
    end = data.index(delimiter, at)
    value = ABSURD[rng.integers(len(ABSURD))]
    return data[:at] + value.ljust(end - at)[: end - at] + data[end:]


def header_mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One offset of HEADER replaced."""
    at = 10 + 8 * int(rng.integers(4))
    number = str(int(rng.integers(0, 10 ** int(rng.integers(1, 9))))).encode()
    return (
        data[:at] + (number if rng.random() < 0.8 else ABSURD[rng.integers(len(ABSURD))]).rjust(8)[:8] + data[at + 8 :]
    )


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes of HEADER and TEXT changed."""
    out = bytearray(data)
    for at in rng.integers(0, int(data[18:26]), size=int(rng.integers(1, 6))):
        out[at] ^= 1 << int(rng.integers(8))
    return bytes(out)


def moved(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes taken out of or put into HEADER and TEXT."""
    at, n = int(rng.integers(6, int(data[18:26]))), int(rng.integers(1, 30))
    return data[:at] + data[at + n :] if rng.random() < 0.5 else data[:at] + rng.bytes(n) + data[at:]


def outcome(read: Callable[[bytes], FcsFile], data: bytes) -> FcsFile | None:
    """The file, or None where it is refused with located problems."""
    try:
        return read(data)
    except Refused as refusal:
        located = [p for p in refusal.problems if p.severity == "error" and p.file == "fcs/a.fcs" and p.message]
        return None if located else pytest.fail("a refusal without a located error")


@pytest.mark.parametrize("mutate", [keyword_mutated, header_mutated, cut, flipped, moved])
def test_mutations_are_refused_or_read_rightly(
    read: Callable[[bytes], FcsFile], mutate: Callable[[bytes, np.random.Generator], bytes]
) -> None:
    """160 mutations each: never another error, little memory; a changed layout gives the same events or is said."""
    rng = np.random.default_rng(20)
    kept = 0
    whole = [(data, read(data).events) for data in seeds()]
    tracemalloc.start()
    for i in range(160):
        data, events = whole[i % len(whole)]
        fcs = outcome(read, mutate(data, rng))
        if fcs is None:
            continue
        assert fcs.events.shape == (fcs.n_events, len(fcs.channels))
        same = np.array_equal(fcs.events, events)
        kept += same
        if mutate in (keyword_mutated, header_mutated, cut):
            assert same or said(fcs, "warning") - {"no-marker-names"}, f"mutation {i} changed the events in silence"
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    assert kept or mutate in (cut, moved), "some mutations do no harm, and such files are read"
