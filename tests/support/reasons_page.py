"""Writes docs/reasons.md from the closed list of reasons: `make docs`."""

from pathlib import Path

from ecgbatch.reasons import REASONS
from ecgbatch.terms import ReasonClass
from tests.support.owners import owner

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"
_INTRODUCTION = """# Reasons

Every ECG that is not scored, every finding and every refusal to start carries one of these codes.
The list is closed: nothing else is ever stored or printed as a reason. Written by `make docs` from
`ecgbatch/reasons.py`.

A quarantined ECG whose reason is of class *format* is shown as `unsupported`, any other as
`failed`.

"Who acts": the *exporting system* is whoever runs the system that the ECGs come from; the *ECG
department* records them; the *patient index* is whoever keeps patients' identities; the *clinical
lead* answers for the intended use; the *operator* runs ecgbatch; the *maintainers* write it.
"""


def text() -> str:
    """The page, one table per class."""
    parts = [_INTRODUCTION]
    for reason_class in ReasonClass:
        parts.append(f"\n## {reason_class}\n\n| code | who acts | what to do |\n|---|---|---|\n")
        parts.extend(
            f"| `{code}` | {owner(code)} | {reason.advice} |\n"
            for code, reason in REASONS.items()
            if reason.reason_class is reason_class
        )
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
