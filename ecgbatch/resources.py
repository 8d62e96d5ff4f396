"""Where the files lie that ship with the package but not inside it in a checkout."""

from pathlib import Path


def folder(name: str) -> Path:
    """`migrations` or `config`: inside an installed wheel, beside the package in a checkout."""
    inside = Path(__file__).parent / name
    return inside if inside.is_dir() else Path(__file__).parents[1] / name


def demonstration(name: str) -> Path:
    """`bundle` or `samples` of the demonstration, shipped inside the package."""
    return Path(__file__).parent / "demonstration" / name
