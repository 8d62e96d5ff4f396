"""The writer of Philips files against a device: the same counts become the same codes."""

import base64
import gzip
import re
from collections.abc import Iterator

import pytest
from philips_files import compressed
from reader_cases import SAMPLES

from ecgbatch.readers.philips_xli import decompress


def _container(name: str, codec: str) -> bytes:
    content = gzip.decompress((SAMPLES / "philips" / f"{name}.xml.gz").read_bytes())
    found = re.search(r"<parsedwaveforms[^>]*>([^<]*)<", content.decode(codec))
    assert found is not None
    return base64.b64decode(found[1])


def _chunks(container: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What follows the size, without the zeros with which a device fills the last byte."""
    while container:
        size = int.from_bytes(container[:4], "little")
        yield container[4:8], container[8 : 8 + size].rstrip(b"\0")
        container = container[8 + size :]


@pytest.mark.parametrize(
    ("name", "codec"), [("129DYPRG", "utf-8"), ("ad4d3d80-d165_1-04_orig", "utf-16")]
)
def test_leads_of_a_device_are_compressed_into_the_codes_of_the_device(
    name: str, codec: str
) -> None:
    container = _container(name, codec)
    again = b"".join(map(compressed, decompress(container, 12, 5500)))
    assert list(_chunks(again)) == list(_chunks(container))[:12]
    assert len(again) > 20_000
