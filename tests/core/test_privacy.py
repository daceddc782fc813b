"""Identities are found in every dress and never survive masking; study codes and numbers never alarm."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.core.privacy import (
    alias,
    column_finding,
    findings,
    findings_in_id,
    findings_in_path,
    findings_in_prose,
    mask,
)

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def identity_number(region: int, year: int, month: int, day: int, order: int) -> str:
    digits = f"{region:06d}{year:04d}{month:02d}{day:02d}{order:03d}"
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, WEIGHTS, strict=True)) % 11]


numbers = st.builds(
    identity_number,
    st.integers(110000, 659000),
    st.integers(1930, 2010),
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(0, 999),
)
mobiles = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
around = st.sampled_from(["", " ", "no ", "(", "：", "，", "“", "\n", "ID:"])


@given(numbers, around, around)
def test_identity_numbers_are_found_and_masked(number: str, before: str, after: str) -> None:
    text = before + number + after
    assert "prc-identity-number" in {f.rule for f in findings(text)}
    assert number not in mask(text)
    assert number[6:14] not in mask(text)


@given(mobiles, around, around)
def test_mobile_numbers_are_found_and_masked(number: str, before: str, after: str) -> None:
    text = before + number + after
    assert findings(text)
    assert number not in mask(text)


@given(st.text(max_size=60))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@given(st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda v: f"{v:.6g}"))
def test_ordinary_numbers_never_alarm(text: str) -> None:
    assert [f.rule for f in findings(text) if f.rule != "mobile-number"] == [] or len(text) > 10


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("110105 19491231 002X", "prc-identity-number"), ("１１０１０５１９４９１２３１００２Ｘ", "prc-identity-number"), ("110105491231002", "prc-identity-number"),
        ("138 0013 8000", "mobile-number"), ("+86 13800138000", "mobile-number"), ("0086-13800138000", "mobile-number"), ("020-83062888", "telephone-number"),
        ("+44 20 7946 0958", "telephone-number"), ("a.b@hospital.cn", "email"), ("2024-03-05", "full-date"), ("05/03/2024", "full-date"), ("5.3.2024", "full-date"),
        ("20240305", "full-date"), ("2024年3月5日", "full-date"), ("5 March 2024", "full-date"), ("Mar 5, 2024", "full-date"), ("2024-03-05T10:22:00", "full-date"),
        ("张伟", "personal-name"), ("欧阳娜娜", "personal-name"), ("张 伟", "personal-name"), ("患者：李小明", "personal-name"), ("联系人王芳", "personal-name"), ("陈主任", "personal-name"),
        ("Patient: John Smith", "personal-name"), ("Dr. Watson", "personal-name"), ("患者 张伟 的研究", "personal-name"), ("患者张伟的研究", "personal-name"),
        ("病人李四光病历", "personal-name"), ("姓名：王五", "personal-name"), ("王小明复查", "personal-name"), ("今日王小明来院", "personal-name"), ("张伟 签字", "personal-name"),
        ("家属李四来电", "personal-name"), ("李明医生", "personal-name"), ("医生李明", "personal-name"), ("请李医生看", "personal-name"), ("司马光复查", "personal-name"), ("患者欧阳娜娜", "personal-name"),
        ("李清复查", "personal-name"), ("患者 于洋", "personal-name"), ("住院号0012345", "record-number"), ("病案号：A0012345", "record-number"), ("MRN 1234567", "record-number"),
        ("Hospital No. 12345", "record-number"), ("医保卡号 998877", "record-number"), ("床号12", "record-number"),
    ],
)  # fmt: skip
def test_what_must_be_found(text: str, rule: str) -> None:
    assert rule in {f.rule for f in findings(text)}, text
    if rule != "personal-name" or "：" in text:
        assert mask(text) != text


@pytest.mark.parametrize(
    "text",
    ["NCT05640687", "2020132", "ChiCTR2000030138", "130-096-535", "215.625", "13812345678.5", "4.2e-05", "A1,A2", "D01", "B01C02", "µg/ml", "37 °C", "Müller", "脐带", "骨髓", "吸烟",
     "对照组", "肺泡灌洗", "全肺灌洗", "10.1016/j.jim.2010.12.016", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "123e4567-e89b-12d3-a456-426614174000",
     "健康对照", "肺泡蛋白沉积症", "间充质干细胞", "患者全肺灌洗液", "患者于术后复查", "患者来电", "家属应签字", "应定期随访", "下周常规复查", "周末复查", "两周后复查", "患者曾用激素", "患者高血压",
     "患者安全性研究", "住院医师", "值班医生", "患者家属", "主任医师", "护士长", "查房医生", "单核细胞", "安慰剂", "唐氏", "平板一", "康宁", "温箱", "时间点", "石蜡", "明胶", "文献", "金标", "安全",
     "江苏", "住院号", "MRN", "patient 12", "床号", "12-34-5678", "1:25349", "2024", "24 h", "v1.2.3", "192.168.0.1", "100000"],
)  # fmt: skip
def test_what_must_not_alarm(text: str) -> None:
    assert findings(text) == []
    assert mask(text) == text


def test_words_that_are_no_names_all_begin_as_names_do() -> None:
    from helpers.core.privacy import _SURNAMES, _WORDS

    assert [w for w in _WORDS if len(w) != 2 or w[0] not in _SURNAMES] == [], "else they are there for nothing"


PIECES = ["患者", "张伟", "李四光", "王芳", "慧敏", "复查", "家属", "来电", " ", "，", "•", "住院号", "0012345", "MRN ", "13800138000", "2024-03-05", "Dr. ", "Watson", "陈", "主任", "a@b.cn", "的"]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_what_is_found_is_masked_and_a_mask_holds_nothing_more(text: str) -> None:
    assert (mask(text) != text) == bool(findings(text))
    assert findings(mask(text)) == []


@pytest.mark.parametrize(
    ("text", "rule", "severity"),
    [
        ("张伟", "possible-name", "warning"),
        ("王小明", "possible-name", "warning"),
        ("欧阳娜娜", "personal-name", "error"),
        ("张伟来电", "personal-name", "error"),
        ("13800138000", "mobile-number", "error"),
    ],
)
def test_in_prose_a_lone_short_word_is_only_a_warning(text: str, rule: str, severity: str) -> None:
    assert [(f.rule, f.severity) for f in findings_in_prose(text)] == [(rule, severity)]
    assert [f.severity for f in findings(text)] == ["error"]


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("李四光 病历.txt", ["personal-name"]),
        ("cytokines/raw/2023年3月5日 张伟.csv", ["full-date", "personal-name"]),
        ("raw/张伟20230305.csv", ["full-date", "personal-name"]),
        ("raw/run_20230305.csv", ["full-date"]),
        ("张伟_1/a.fcs", ["personal-name"]),
        ("zhang@example.org", ["email"]),
        ("phenotype/fcs/D01 am.fcs", []),
        ("cytokines/raw/平板一 时间点2.csv", []),
        ("raw/石蜡切片_对照组.csv", []),
    ],
)
def test_words_of_file_names_are_looked_at(path: str, rules: list[str]) -> None:
    assert [f.rule for f in findings_in_path(path)] == rules
    assert (alias(path) == path) == (rules == [])


def test_listed_codes_are_never_names_and_other_han_in_their_column_are() -> None:
    allowed = frozenset({"男", "女", "金属"})
    assert findings("金属", allowed) == []
    assert [f.rule for f in findings("小红", allowed)] == ["personal-name"]


def test_six_digits_make_a_hospital_number_of_a_code() -> None:
    assert findings_in_id("D01") == []
    assert [f.rule for f in findings_in_id("ZY0012345")] == ["long-digit-run"]


@pytest.mark.parametrize("heading", ["name", "Patient Name", "PATIENT_NAME", "patientName", "Date of Birth", "DOB", "phone no.", "E-mail", "Hospital No", "姓名", "患者姓名", "联系电话", "身份证号", "出生日期",
                                     "住院号", "ｎａｍｅ", "bed"])  # fmt: skip
def test_headings_that_announce_identities(heading: str) -> None:
    assert column_finding(heading) is not None


def test_no_heading_of_our_own_tables_alarms() -> None:
    from helpers.core.schemas import input_tables, output_tables

    columns = {c for schemas in (input_tables(), output_tables()) for s in schemas.values() for c in s.columns}
    assert [c for c in columns if column_finding(c)] == []


@pytest.mark.parametrize(
    "heading", ["gene_name", "sample name", "embedding", "channel", "rename", "contrast", "telomere"]
)
def test_headings_that_only_look_alike(heading: str) -> None:
    assert column_finding(heading) is None


def test_a_dated_file_gets_an_alias_that_is_always_the_same() -> None:
    assert alias("raw/plate1.csv") == "raw/plate1.csv"
    assert alias("raw/run 2023-03-05.csv") == alias("raw/run 2023-03-05.csv")
    assert "2023" not in alias("raw/run 2023-03-05.csv")
    assert alias("raw/run 2023-03-05.csv").endswith(".csv")


def test_a_file_has_one_alias_with_and_without_its_folder_and_two_files_have_two() -> None:
    assert alias("cytokines/raw/run 2023-03-05.csv") == "cytokines/raw/" + alias("run 2023-03-05.csv")
    assert alias("run 2023-03-05.csv") != alias("run 2023-03-06.csv")
    assert alias("2023-03-05/a.csv") != alias("2023-03-06/a.csv")


@given(st.dates().map(lambda d: f"raw/run {d.isoformat()}.xlsx"))
def test_an_alias_is_its_own_alias(file: str) -> None:
    assert alias(alias(file)) == alias(file)


@pytest.mark.parametrize(
    "text", ["1" * 200_000, "a" * 200_000 + "@", "张" * 100_000, "1 " * 100_000, "2024-" * 40_000, "+1 " * 60_000]
)
def test_long_texts_take_linear_time(text: str) -> None:
    started = time.perf_counter()
    findings(text)
    assert time.perf_counter() - started < 20, "a pattern backtracks"
