"""study.yaml: every mistake has its line and a sentence, and nothing in it is ever run."""

from __future__ import annotations

import pytest

from helpers.core.problems import Problem
from helpers.study.config import Config, config_problems, dotted, read_config


def problems_of(text: str) -> list[Problem]:
    settings, lines, problems = read_config(text)
    return problems or config_problems(settings, lines)


def test_a_good_file_has_no_problems_and_gets_defaults(study_yaml: str) -> None:
    settings, _, problems = read_config(study_yaml)
    config = Config.from_settings(settings)
    assert problems == []
    assert config.settings["alpha"] == 0.05
    assert config.settings["eligibility"]["combine"] == "all_of"
    assert config.groups_of("control") == ["control"]
    assert config.condition("am_msc").has_msc
    assert not config.condition("msc").has_macrophages


@pytest.mark.parametrize(
    ("before", "after", "code", "row"),
    [
        ("id: small", "id: [small", "yaml-syntax", None),
        ("id: small", "id: small\nid: other", "duplicate-key", 2),
        ("id: small", "idd: small", "unknown-key", 1),
        ("id: small", "", "missing-key", None),
        ("role: disease", "role: diseased", "bad-setting", 5),
        ("simulated: true", "simulated: maybe", "bad-setting", 3),
        ("simulated: true", "simulated: !!python/object/apply:os.system [ls]", "yaml-tag", 3),
        ("simulated: true", "alpha: 2", "bad-setting", 3),
        ("compare_to: am}", "compare_to: am_mono}", "unknown-condition", 9),
        ("code: control", "code: apap", "duplicate-code", 6),
        (", control_source: diagnostic lavage", "", "control-source", 6),
        ("msc_am_ratio: 0.2", "msc_am_ratio: 0", "ratio-contradicts-cells", 9),
        ("role: treatment, compare_to: am", "role: treatment", "no-comparison", 9),
        ("simulated: true", "plan: {date: 2024-02-31}", "no-such-date", 3),
        ("simulated: true", "id_patterns: {donor_id: '['}", "bad-setting", 3),
        ("simulated: true", "id_patterns: {donor_id: '(?i)d[0-9]+'}", "bad-setting", 3),
    ],
)
def test_each_mistake_is_named_with_its_line(
    study_yaml: str, before: str, after: str, code: str, row: int | None
) -> None:
    assert before in study_yaml
    found = problems_of(study_yaml.replace(before, after, 1))
    hit = [p for p in found if p.code == code]
    assert hit, f"expected {code}, got {[str(p) for p in found]}"
    if row is not None:
        assert hit[0].row == row
    assert hit[0].file == "study.yaml"
    assert hit[0].fix


def test_a_bomb_of_aliases_is_refused_without_being_built() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
    )
    codes = {p.code for p in problems_of(text)}
    assert codes & {"yaml-too-large", "unknown-key"}


def test_dates_stay_text(study_yaml: str) -> None:
    settings, _, problems = read_config(study_yaml + "plan: {date: 2024-01-02}\n")
    assert problems == []
    assert settings["plan"]["date"] == "2024-01-02"


@pytest.mark.parametrize("text", ["", "[]", "just text", "\t", "- a\n- b", "null"])
def test_a_file_without_settings_is_said(text: str) -> None:
    assert problems_of(text)[0].severity == "error"


def test_dotted_counts_from_one() -> None:
    assert dotted(("conditions", 2, "code")) == "conditions[3].code"
