"""Metrics in the text format of Prometheus."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_Labels = Mapping[str, str]
_Word = TypeVar("_Word", bound=str)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric with its samples; a name that ends in `_total` is a counter."""

    name: str
    help: str
    samples: tuple[tuple[_Labels, float], ...] = field(default=())

    @property
    def kind(self) -> Literal["counter", "gauge"]:
        return "counter" if self.name.endswith("_total") else "gauge"


def one(name: str, text: str, value: float | None, labels: _Labels | None = None) -> Metric:
    """A metric with one sample, or with none where the value is not known."""
    return Metric(name, text, () if value is None else ((labels or {}, value),))


def many(name: str, text: str, label: str, values: Mapping[_Word, float]) -> Metric:
    """A metric with one sample for each value of a label."""
    return Metric(name, text, tuple(({label: key}, value) for key, value in values.items()))


def render(metrics: Iterable[Metric]) -> str:
    """The page; metrics without samples are left out."""
    lines: list[str] = []
    for metric in metrics:
        if not metric.samples:
            continue
        lines.append(f"# HELP ecgbatch_{metric.name} {_escaped(metric.help)}")
        lines.append(f"# TYPE ecgbatch_{metric.name} {metric.kind}")
        for labels, value in metric.samples:
            stated = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
            lines.append(f"ecgbatch_{metric.name}{{{stated}}} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")
