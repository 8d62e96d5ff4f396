"""The one XML parser: bytes in, a small read-only tree out; no DTD, no entities, no network.

The bytes are decoded here and handed to the parser as UTF-8, so what is checked in the text
is what the parser sees, whatever the declaration says.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.terms import ReasonCode

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 64
MAX_ELEMENTS = 200_000
MAX_ATTRIBUTES = 200_000
MAX_ATTRIBUTES_PER_ELEMENT = 256
"""lxml needs quadratic time to list those of one element."""
_CHUNK_BYTES = 64 * 1024
_RESOURCE_LIMIT_EXCEEDED = 114
"""libxml2's code for text, attributes or nesting beyond its own limits."""

_OTHER_MARKS = 200_000
"""Of `<` in comments and the like, and of `=` in base64 and in texts."""
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")

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
_CONTROL = bytes({*range(32)} - {9, 10, 13})
_RARE = re.compile(rb"\xed[\xa0-\xbf]|\xef\xbf[\xbe\xbf]")
"""UTF-8 of surrogates, U+FFFE and U+FFFF."""
_MISC = re.compile(r"(?:\s+|<!--.*?-->|<\?.*?\?>)*", re.DOTALL)
_QUOTED = r"""(?:"[^"]*"|'[^']*')"""
_PLAIN_DOCTYPE = re.compile(
    rf"<!DOCTYPE\s+(?P<name>[^\s>\[]+)"
    rf"(?:\s+(?:SYSTEM\s+{_QUOTED}|PUBLIC\s+{_QUOTED}\s+{_QUOTED}))?\s*>"
)
_DOCTYPE_NAME = re.compile(r"<!DOCTYPE\s+(?P<name>[^\s>\[]+)[\s>\[]")
_ROOT_TAG = re.compile(r"<(?:[^\s<>/:]+:)?(?P<name>[^\s<>/:]+)[\s/>]")
# "or the end", so that unclosed ones do not make the search quadratic.
_OPAQUE = re.compile(r"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<\?.*?(?:\?>|\Z)", re.DOTALL)
_ENTITY_REFERENCE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[^\s;&<#]{1,256};")


class Node:
    """An element: local name, its own text (comments inside left out) and its child elements.

    It looks into the parsed document and copies nothing: most of a document is never asked for.
    """

    __slots__ = ("_element", "name")

    def __init__(self, element: etree._Element) -> None:
        self._element = element
        self.name = _local(element)

    @property
    def text(self) -> str:
        element = self._element
        text = element.text or ""
        return text + "".join(child.tail or "" for child in element) if len(element) else text

    @property
    def nodes(self) -> tuple["Node", ...]:
        return tuple(map(Node, self._element))

    def children(self, name: str) -> Iterator["Node"]:
        return (Node(child) for child in self._element if _local(child) == name)

    def text_at(self, *path: str) -> str:
        """Stripped text of the first element at `path`; empty where there is none."""
        node = self.child(*path)
        return node.text.strip() if node else ""

    def child(self, *path: str) -> "Node | None":
        """The first element at `path`; each step takes the first of its name."""
        node: Node | None = self
        for name in path:
            node = next(node.children(name), None) if node else None
        return node

    def attribute(self, name: str) -> str:
        """Stripped value of an attribute by local name (`type` of `xsi:type`); empty without one.

        A name without namespace wins over the same one with one.
        """
        value = self._element.get(name)
        if value is None:
            named = (found for key, found in self._element.items() if key.endswith("}" + name))
            value = next(named, "")
        return str(value).strip()


def empty_node(name: str) -> Node:
    """For an element that is not there."""
    return Node(etree.Element(name))


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document; `is_repaired` if its text was not in the encoding it declares."""

    root: Node
    is_repaired: bool


def root_name(head: bytes) -> str | None:
    """Local name of the root element in the first bytes of a document, else None.

    Where the prolog is longer than `head`, the name that the DOCTYPE gives.
    """
    text = head.decode(_utf_16(head) or "iso-8859-1", errors="ignore")
    text = text.removeprefix("\ufeff").removeprefix("ï»¿")
    start = _end_of(_MISC, text, 0)
    doctype = _DOCTYPE_NAME.match(text, start)
    plain = _PLAIN_DOCTYPE.match(text, start)
    root = _ROOT_TAG.match(text, _end_of(_MISC, text, plain.end() if plain else start))
    if root and not root["name"].startswith(("!", "?")):
        return root["name"]
    return doctype["name"].rpartition(":")[2] if doctype else None


def parse_xml(content: bytes) -> Document:
    """Parse a whole document.

    Raises:
        Incomplete: it ends before its root closes.
        InputFault: `xml_invalid`, `xml_entity` (any internal subset or entity reference),
            `xml_limit` or `text_encoding_invalid`.
    """
    if len(content) > MAX_BYTES:
        raise InputFault(ReasonCode.XML_LIMIT, "size")
    text, is_repaired = _decode(content)
    _refuse_entities(text)
    return Document(_build(text), is_repaired)


def _decode(content: bytes) -> tuple[str, bool]:
    declared = _declared_codec(content)
    candidates = _candidates(content, declared)
    text, codec = _first_that_fits(content, candidates)
    family = codec.removesuffix("-le").removesuffix("-be")
    is_mislabelled = family != declared if declared else codec != candidates[0]
    text = _DECLARATION.sub("", text.removeprefix("\ufeff"))
    legal = _without_illegal(text)
    return legal, is_mislabelled or len(legal) != len(text)


def _without_illegal(text: str) -> str:
    """Characters that XML 1.0 allows; the usual text without others is not searched for them."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded.translate(None, _CONTROL)) == len(encoded) and not _RARE.search(encoded):
        return text
    return _ILLEGAL.sub("", text)


def _candidates(content: bytes, declared: str | None) -> tuple[str, ...]:
    """Codecs to try: what the bytes show, else what is declared, then the fallbacks."""
    utf_16 = _utf_16(content)
    if utf_16:
        return (utf_16,)
    if declared in {None, "utf-16"} or content.startswith(b"\xef\xbb\xbf"):
        return ("utf-8", "cp1252")
    return (declared or "utf-8", "utf-8", "cp1252")


def _declared_codec(content: bytes) -> str | None:
    head = content[:1024]
    text = head.decode(_utf_16(head) or "iso-8859-1", errors="ignore")
    match = _DECLARED.match(text.removeprefix("\ufeff").removeprefix("ï»¿"))
    if match is None:
        return None
    codec = _CODECS.get(re.sub(r"[-_ ]", "", match[1].lower()))
    if codec is None:
        raise InputFault(ReasonCode.TEXT_ENCODING_INVALID)
    return codec


def _utf_16(content: bytes) -> str | None:
    if content.startswith((b"\xff\xfe", b"<\0")):
        return "utf-16-le"
    return "utf-16-be" if content.startswith((b"\xfe\xff", b"\0<")) else None


def _first_that_fits(content: bytes, codecs: tuple[str, ...]) -> tuple[str, str]:
    for codec in codecs:
        try:
            return _whole_characters(content, codec), codec
        except UnicodeDecodeError:
            continue
    raise InputFault(ReasonCode.TEXT_ENCODING_INVALID)


def _whole_characters(content: bytes, codec: str) -> str:
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        # A file cut inside its last character is cut, not in a wrong encoding.
        if error.end < len(content) or error.reason not in _CUT:
            raise
        return content[: error.start].decode(codec)


def _refuse_entities(text: str) -> None:
    start = _end_of(_MISC, text, 0)
    has_doctype = text.startswith("<!DOCTYPE", start)
    if has_doctype and text.find(">", start) >= 0 and not _PLAIN_DOCTYPE.match(text, start):
        raise InputFault(ReasonCode.XML_ENTITY)
    if _ENTITY_REFERENCE.search(text) and _ENTITY_REFERENCE.search(_OPAQUE.sub("", text)):
        raise InputFault(ReasonCode.XML_ENTITY)


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


def _build(text: str) -> Node:
    content = text.encode()
    _refuse_excess(content)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        for start in range(0, len(content), _CHUNK_BYTES):
            parser.feed(content[start : start + _CHUNK_BYTES])
    except etree.XMLSyntaxError as error:
        limit = error.code == _RESOURCE_LIMIT_EXCEEDED
        raise InputFault(ReasonCode.XML_LIMIT if limit else ReasonCode.XML_INVALID) from None
    try:
        root = parser.close()
    except etree.XMLSyntaxError:
        # The parser reports some faults of a whole document only here.
        if _root_closes_in(text):
            raise InputFault(ReasonCode.XML_INVALID) from None
        raise Incomplete("root not closed") from None
    _check(root)
    return Node(root)


def _refuse_excess(content: bytes) -> None:
    """Before anything is built: no document within the limits has as many marks."""
    if content.count(b"<") > 2 * MAX_ELEMENTS + _OTHER_MARKS:
        raise InputFault(ReasonCode.XML_LIMIT)
    if content.count(b"=") > MAX_ATTRIBUTES + _OTHER_MARKS:
        raise InputFault(ReasonCode.XML_LIMIT, "attributes")


def _check(root: etree._Element) -> None:
    n_elements = n_attributes = 0
    for element in root.iter():
        if not isinstance(element.tag, str):  # a reference that was not expanded
            raise InputFault(ReasonCode.XML_ENTITY)
        n_elements += 1
        attributes = len(element.attrib)
        n_attributes += attributes
        if attributes > MAX_ATTRIBUTES_PER_ELEMENT:
            raise InputFault(ReasonCode.XML_LIMIT, "attributes")
    if n_elements > MAX_ELEMENTS or _TOO_DEEP(root):
        raise InputFault(ReasonCode.XML_LIMIT)
    if n_attributes > MAX_ATTRIBUTES:
        raise InputFault(ReasonCode.XML_LIMIT, "attributes")


def _root_closes_in(text: str) -> bool:
    root = _ROOT_TAG.match(text, _end_of(_MISC, text, _end_of_doctype(text)))
    if root is None:
        return False
    closing = rf"</(?:[^\s<>/:]+:)?{re.escape(root['name'])}\s*>"
    return re.search(closing, text) is not None


def _end_of_doctype(text: str) -> int:
    start = _end_of(_MISC, text, 0)
    return _end_of(_PLAIN_DOCTYPE, text, start)


def _local(element: etree._Element) -> str:
    return str(element.tag).rpartition("}")[2]
