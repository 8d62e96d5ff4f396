"""The text of an XML document: bytes in any encoding that is read in, legal UTF-8 out."""

import re
from dataclasses import dataclass, field

import numpy as np

from ecgbatch.errors import InputFault
from ecgbatch.terms import ReasonCode

_BOM = b"\xef\xbb\xbf"
_CODECS = {
    "utf8": "utf-8",
    "usascii": "utf-8",
    "ascii": "utf-8",
    "utf16": "utf-16",
    "utf16le": "utf-16",
    "utf16be": "utf-16",
    "iso88591": "iso-8859-1",
    "latin1": "iso-8859-1",
    "windows1252": "cp1252",
    "cp1252": "cp1252",
}
_CUT = frozenset({"unexpected end of data", "truncated data"})
_DECLARED = re.compile(r"""\A<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"']*)["']""")
_DECLARATION = re.compile(r"\A<\?xml\s.*?\?>", re.DOTALL)
_ILLEGAL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FIRST_PRINTABLE = 32
_LEGAL_CONTROLS = b"\n\r\t"


@dataclass(frozen=True, slots=True)
class XmlText:
    """A document as text and as UTF-8.

    Attributes:
        text: behind its mark; the declaration may still stand there, as it may in any prolog.
        utf_8: behind its mark and its declaration.
        is_repaired: it was not in the encoding it declares, or had characters that are illegal.
    """

    text: str = field(repr=False)
    utf_8: bytes = field(repr=False)
    is_repaired: bool


def utf_16(content: bytes) -> str | None:
    """The codec, if the first bytes are a mark of UTF-16 or `<` in it."""
    if content.startswith((b"\xff\xfe", b"<\0")):
        return "utf-16-le"
    return "utf-16-be" if content.startswith((b"\xfe\xff", b"\0<")) else None


def decoded(content: bytes) -> XmlText:
    """Decode by what the bytes show, else by what they declare, else as UTF-8 or Windows-1252.

    Raises:
        InputFault: `text_encoding_invalid`.
    """
    declared = _declared_codec(content)
    candidates = _candidates(content, declared)
    whole, n_bytes, codec = _first_that_fits(content, candidates)
    family = codec.removesuffix("-le").removesuffix("-be")
    is_mislabelled = family != declared if declared else codec != candidates[0]
    text = whole.removeprefix("\ufeff")
    declaration = _DECLARATION.match(text)
    start = declaration.end() if declaration else 0
    if codec == "utf-8":  # the bytes are there already
        before = len(_BOM) * content.startswith(_BOM) + len(text[:start].encode())
        utf_8 = content[before:n_bytes]
    else:
        utf_8 = text[start:].encode()
    if _is_legal(text, utf_8):
        return XmlText(text, utf_8, is_mislabelled)
    legal = _ILLEGAL.sub("", text[start:])
    return XmlText(legal, legal.encode(), is_repaired=True)


def _is_legal(text: str, utf_8: bytes) -> bool:
    """Whether XML 1.0 allows every character; no codec here lets a surrogate through."""
    if "\ufffe" in text or "\uffff" in text:
        return False
    codes = np.frombuffer(utf_8, dtype=np.uint8)
    n_controls = np.count_nonzero(codes < _FIRST_PRINTABLE)
    for control in _LEGAL_CONTROLS:
        if not n_controls:
            break
        n_controls -= np.count_nonzero(codes == control)
    return not n_controls


def _candidates(content: bytes, declared: str | None) -> tuple[str, ...]:
    """Codecs to try: what the bytes show, else what is declared, then the fallbacks."""
    wide = utf_16(content)
    if wide:
        return (wide,)
    if declared in {None, "utf-16"} or content.startswith(_BOM):
        return ("utf-8", "cp1252")
    return (declared or "utf-8", "utf-8", "cp1252")


def _declared_codec(content: bytes) -> str | None:
    head = content[:1024]
    text = head.decode(utf_16(head) or "iso-8859-1", errors="ignore")
    match = _DECLARED.match(text.removeprefix("\ufeff").removeprefix("ï»¿"))
    if match is None:
        return None
    codec = _CODECS.get(re.sub(r"[-_ ]", "", match[1].lower()))
    if codec is None:
        raise InputFault(ReasonCode.TEXT_ENCODING_INVALID)
    return codec


def _first_that_fits(content: bytes, codecs: tuple[str, ...]) -> tuple[str, int, str]:
    """Text, how many bytes it is of, and the codec."""
    for codec in codecs:
        try:
            return *_whole_characters(content, codec), codec
        except UnicodeDecodeError:
            continue
    raise InputFault(ReasonCode.TEXT_ENCODING_INVALID)


def _whole_characters(content: bytes, codec: str) -> tuple[str, int]:
    try:
        return content.decode(codec), len(content)
    except UnicodeDecodeError as error:
        # A file cut inside its last character is cut, not in a wrong encoding.
        if error.end < len(content) or error.reason not in _CUT:
            raise
        return content[: error.start].decode(codec), error.start
