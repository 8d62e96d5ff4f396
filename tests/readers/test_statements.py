"""What statements say, in closed lists."""

import pytest

from ecgbatch.readers.statements import is_paced, statement_normal


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), None),
        (("Normal sinus rhythm",), None),
        (("Normal sinus rhythm", "Normal ECG"), True),
        (("*** Normal ECG ***",), True),
        (("Normal sinus rhythm, normal ECG",), True),
        (("正常心电图",), True),
        (("- NORMAL ECG -",), True),
        (("RITMO SINUSALE", "ECG NORMALE"), True),
        (("Ritmo sinusal", "ECG normal"), True),
        (("Sinusrhythmus", "Normales EKG"), True),
        (("Ritmo sinusal", "ECG anormal"), False),
        (("Pathologisches EKG",), False),
        (("窦性心律；正常心电图",), True),
        (("大致正常心电图",), False),
        (("异常心电图",), False),
        (("窦性心律",), None),
        (("Otherwise normal ECG",), False),
        (("Abnormal ECG",), False),
        (("Borderline ECG",), False),
        (("Normal ECG", "Abnormal ECG"), False),
        (("Not a normal ECG",), None),
        (("Abnormal QRS-T angle",), None),
    ],
)
def test_normal_is_said_or_denied_or_left_open(
    texts: tuple[str, ...], expected: bool | None
) -> None:
    assert statement_normal(texts) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Electronic ventricular pacemaker", True),
        ("Atrial-paced rhythm", True),
        ("AV dual-paced rhythm with prolonged AV conduction", True),
        ("Ventricular-paced rhythm, no further analysis", True),
        ("Demand pacemaker; interpretation is based on intrinsic rhythm", True),
        ("Biventricular pacing", True),
        ("Electronic ventricular pacemaker has replaced Sinus rhythm", True),
        ("Pacemaker spikes noted", True),
        ("心室起搏心律", True),
        ("Schrittmacher-EKG", True),
        ("Sinus rhythm has replaced Electronic ventricular pacemaker", False),
        ("No pacemaker", False),
        ("No evidence of pacemaker", False),
        ("without ventricular pacing", False),
        ("Pacemaker spikes not seen", False),
        ("Ventricular pacing is no longer present", False),
        ("Wandering atrial pacemaker", False),
        ("未见起搏信号", False),
        ("Normal sinus rhythm", False),
        ("Widely spaced complexes", False),
        ("No acute changes, electronic pacemaker", True),
    ],
)
def test_pacing_is_named_or_not(text: str, expected: bool) -> None:
    assert is_paced((text,)) is expected


def test_no_statements_say_nothing_about_pacing() -> None:
    assert is_paced(()) is None
    assert is_paced(("", " ** ")) is None
    assert is_paced(("Sinus rhythm", "Electronic atrial pacemaker")) is True
