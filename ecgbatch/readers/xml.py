"""The one XML parser: bytes in, a small immutable tree out; no DTD, no entities, no network.

The bytes are decoded here and handed to the parser as UTF-8, so what is checked in the text
is what the parser sees, whatever the declaration says.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

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


@dataclass(frozen=True, slots=True)
class Node:
    """An element: local name, its own text (comments inside left out) and its child elements.

    Attributes:
        attributes: by local name (`xsi:type` is `type`).
    """

    name: str
    text: str = field(repr=False)
    nodes: tuple["Node", ...] = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False, hash=False)

    def children(self, name: str) -> Iterator["Node"]:
        return (node for node in self.nodes if node.name == name)

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
        """Stripped value of an attribute; empty where there is none."""
        return self.attributes.get(name, "").strip()


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
    legal = _ILLEGAL.sub("", text)
    return legal, is_mislabelled or len(legal) != len(text)


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
    parser = etree.XMLPullParser(
        events=("start", "end"),
        encoding="utf-8",
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    builder = _Builder()
    content = text.encode()
    try:
        for start in range(0, len(content), _CHUNK_BYTES):
            parser.feed(content[start : start + _CHUNK_BYTES])
            builder.take(parser)
    except etree.XMLSyntaxError as error:
        limit = error.code == _RESOURCE_LIMIT_EXCEEDED
        raise InputFault(ReasonCode.XML_LIMIT if limit else ReasonCode.XML_INVALID) from None
    try:
        parser.close()
        builder.take(parser)
    except etree.XMLSyntaxError:
        # The parser reports some faults of a whole document only here.
        if builder.root_closes_in(text):
            raise InputFault(ReasonCode.XML_INVALID) from None
        raise Incomplete("root not closed") from None
    return builder.root()


class _Builder:
    """Collects finished elements; one per parse."""

    def __init__(self) -> None:
        self._open: list[list[Node]] = [[]]
        self._root_tag = ""
        self._n_elements = 0
        self._n_attributes = 0

    def take(self, parser: etree.XMLPullParser) -> None:
        for event, element in parser.read_events():
            if event == "start":
                self._start(element)
            else:
                self._end(element)

    def _start(self, element: etree._Element) -> None:
        self._root_tag = self._root_tag or _local(element.tag)
        self._n_elements += 1
        n_attributes = len(element.attrib)
        self._n_attributes += n_attributes
        self._open.append([])
        if len(self._open) > MAX_DEPTH + 1 or self._n_elements > MAX_ELEMENTS:
            raise InputFault(ReasonCode.XML_LIMIT)
        if n_attributes > MAX_ATTRIBUTES_PER_ELEMENT or self._n_attributes > MAX_ATTRIBUTES:
            raise InputFault(ReasonCode.XML_LIMIT, "attributes")

    def _end(self, element: etree._Element) -> None:
        text = element.text or ""
        for child in element:
            if not isinstance(child.tag, str):  # a reference that was not expanded
                raise InputFault(ReasonCode.XML_ENTITY)
            text += child.tail or ""
        nodes = tuple(self._open.pop())
        self._open[-1].append(Node(_local(element.tag), text, nodes, _attributes(element)))

    def root_closes_in(self, text: str) -> bool:
        closing = rf"</(?:[^\s<>/:]+:)?{re.escape(self._root_tag)}\s*>"
        return bool(self._root_tag) and re.search(closing, text) is not None

    def root(self) -> Node:
        return self._open[0][0]


def _attributes(element: etree._Element) -> Mapping[str, str]:
    # In reverse order, so that a name without namespace wins over the same one with one.
    pairs = sorted(element.attrib.items(), reverse=True)
    return MappingProxyType({_local(str(name)): str(value) for name, value in pairs})


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
