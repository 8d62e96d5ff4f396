"""The tensors of a Net1D by name, and whether given ones are these. Does not import torch."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.terms import ReasonCode

Shape = tuple[int, ...]
Layout = dict[str, tuple[Shape, str]]
"""Name of a tensor -> its shape and its type, `float32` or `int64`."""

_FLOAT, _INTEGER = "float32", "int64"
SQUEEZE = 2
"""Channels per hidden unit of the squeeze-and-excitation."""
_NAMED = 5
"""Tensors named in one message."""


def layout(architecture: Architecture) -> Layout:
    """Every tensor that a checkpoint of this architecture holds."""
    return dict(_tensors(architecture))


def check_layout(architecture: Architecture, given: Mapping[str, tuple[Shape, str]]) -> None:
    """Whether these are the tensors of the architecture: all, no other, each of its shape.

    Raises:
        SetupFault: a missing, extra or misshapen tensor, or one of another type, by name.
    """
    own = layout(architecture)
    refuse_named("missing", own.keys() - given.keys())
    refuse_named("not expected", given.keys() - own.keys())
    refuse_named("other shape", (name for name in own if own[name][0] != given[name][0]))
    refuse_named("other type", (name for name in own if own[name][1] != given[name][1]))


def check_use_bn(tensors: Mapping[str, Any], use_bn: bool) -> None:
    """Refuse a flag that the batch-norm statistics contradict.

    Untrained statistics (mean 0, variance 1, nothing tracked) come from a net made without
    batch norm; anything else from one made with it.

    Args:
        tensors: of torch or of numpy.

    Raises:
        SetupFault: the statistics contradict `use_bn`, or are partly trained, or are absent.
    """
    trained = {
        name.removesuffix(".num_batches_tracked"): _is_trained(tensors, name)
        for name in tensors
        if name.endswith(".num_batches_tracked")
    }
    if not trained:
        raise SetupFault(ReasonCode.CHECKPOINT_INVALID, "no batch-norm statistics")
    # The first block never uses its first norm, so that one stays untrained in every net.
    trained.pop("stage_list.0.block_list.0.bn1", None)
    if any(is_trained != use_bn for is_trained in trained.values()):
        count = sum(trained.values())
        raise SetupFault(
            ReasonCode.USE_BN_CONTRADICTED,
            f"{count} of {len(trained)} batch norms are trained, stated use_bn is {use_bn}",
        )


def refuse_named(what: str, names: Iterable[str]) -> None:
    """Raises: SetupFault `checkpoint_invalid`, if there is any name."""
    found = sorted(names)
    if not found:
        return
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise SetupFault(ReasonCode.CHECKPOINT_INVALID, f"{what}: {', '.join(found[:_NAMED])}{more}")


def _is_trained(tensors: Mapping[str, Any], tracked: str) -> bool:
    norm = tracked.removesuffix(".num_batches_tracked")
    try:
        mean, variance = tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"]
    except KeyError:
        raise SetupFault(ReasonCode.CHECKPOINT_INVALID, f"missing statistics of {norm}") from None
    untrained = (
        bool((tensors[tracked] == 0).all())
        and bool((mean == 0).all())
        and bool((variance == 1).all())
    )
    return not untrained


def _tensors(architecture: Architecture) -> Iterator[tuple[str, tuple[Shape, str]]]:
    widths = (architecture.base_filters, *architecture.filter_list)
    kernel = architecture.kernel_size
    yield from _weighted("first_conv.conv", widths[0], architecture.in_channels, kernel)
    yield from _norm("first_bn", widths[0])
    for stage, n_blocks in enumerate(architecture.m_blocks_list):
        for block in range(n_blocks):
            before = widths[stage] if block == 0 else widths[stage + 1]
            name = f"stage_list.{stage}.block_list.{block}"
            yield from _block(name, architecture, before, widths[stage + 1])
    yield from _weighted("dense", architecture.n_classes, widths[-1])


def _block(
    name: str, architecture: Architecture, before: int, after: int
) -> Iterator[tuple[str, tuple[Shape, str]]]:
    middle, groups = architecture.middle_channels(after), architecture.groups(after)
    yield from _norm(f"{name}.bn1", before)
    yield from _weighted(f"{name}.conv1.conv", middle, before, 1)
    yield from _norm(f"{name}.bn2", middle)
    yield from _weighted(f"{name}.conv2.conv", middle, middle // groups, architecture.kernel_size)
    yield from _norm(f"{name}.bn3", middle)
    yield from _weighted(f"{name}.conv3.conv", after, middle, 1)
    yield from _weighted(f"{name}.se_fc1", after // SQUEEZE, after)
    yield from _weighted(f"{name}.se_fc2", after, after // SQUEEZE)


def _weighted(name: str, *shape: int) -> Iterator[tuple[str, tuple[Shape, str]]]:
    """A convolution or dense layer: its output channels come first, and have a bias each."""
    yield f"{name}.weight", (shape, _FLOAT)
    yield f"{name}.bias", (shape[:1], _FLOAT)


def _norm(name: str, channels: int) -> Iterator[tuple[str, tuple[Shape, str]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", ((channels,), _FLOAT)
    yield f"{name}.num_batches_tracked", ((), _INTEGER)
