"""What the device's or the reader's statements say, for gates in memory. Closed lists only."""

import re
from collections.abc import Iterable, Iterator

_FRAGMENT_END = re.compile(r"[\n;；。.,，:：]+")
_NORMAL = frozenset(
    {
        *("normal ecg", "normal ekg", "ecg normale", "ecg normal", "ekg normal"),
        *("normales ekg", "normaal ecg", "正常心电图"),
    }
)
_NOT_NORMAL = re.compile(
    r"\b(?:abnormal|borderline|otherwise normal)\s+(?:ecg|ekg|electrocardiogram)\b"
    r"|\b(?:ecg|ekg)\s+(?:anormale?|anormal|patologico|patológico|pathologique)\b"
    r"|\b(?:abnormales|pathologisches|grenzwertiges)\s+ekg\b|\bafwijkend\s+ecg\b"
    r"|(?:异常|临界|边缘|大致正常|基本正常|不正常)心电图"
)

_PACE = r"(?:pac(?:ed|ing)|pacemakers?|pacers?|marcapasos|schrittmacher)"
_BETWEEN = (
    r"(?:(?:evidence|signs?|of|an?|any|the|electronic|cardiac|implanted|functioning|visible|"
    r"atrial|ventricular|dual|chamber)\s+){0,6}"
)
_PACED = re.compile(rf"\b{_PACE}\b|起搏")
_NOT_PACED = re.compile(
    rf"\b(?:no|not|non|without|absent|sin|kein|keine|ohne)[\s-]+{_BETWEEN}{_PACE}\b"
    rf"|\b{_PACE}(?:\s+(?:spikes?|rhythm|beats?))?\s+(?:(?:is|are|was)\s+)?"
    r"(?:not|absent|no longer)\b[^,;]*"
    # A pacemaker that is the heart's own, and one that has been replaced by a rhythm.
    r"|\b(?:wandering|shifting|ectopic)\s+(?:atrial\s+|supraventricular\s+)?pacemakers?\b"
    r"|\b(?:has|have)\s+replaced\b.*"
    r"|(?:无|未见|没有)[^\s]{0,4}起搏|游走性?(?:心房|窦房结)?内?起搏点?"
)


def statement_normal(texts: Iterable[str]) -> bool | None:
    """True for "normal ECG", False for abnormal, borderline or otherwise normal, else None.

    Where statements contradict each other, the one that is not normal counts.
    """
    fragments = tuple(_fragments(texts))
    if any(_NOT_NORMAL.search(fragment) for fragment in fragments):
        return False
    return True if any(fragment in _NORMAL for fragment in fragments) else None


def is_paced(texts: Iterable[str]) -> bool | None:
    """Whether a statement names pacing; None where there are no statements at all.

    "No pacemaker", "wandering atrial pacemaker" and "... has replaced pacing" do not count.
    """
    fragments = tuple(_fragments(texts))
    if not fragments:
        return None
    return any(_PACED.search(_NOT_PACED.sub(" ", fragment)) for fragment in fragments)


def _fragments(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for part in _FRAGMENT_END.split(text.casefold()):
            fragment = " ".join(part.replace("*", " ").split()).strip("- ")
            if fragment:
                yield fragment
