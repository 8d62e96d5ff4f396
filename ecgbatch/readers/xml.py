"""The one XML parser: bytes in, a small read-only tree out; no DTD, no entities, no network.

The bytes are decoded first and handed to the parser as UTF-8, so what is checked in the text
is what the parser sees, whatever the declaration says.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from lxml import etree

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.readers.xml_text import XmlText, decoded, utf_16
from ecgbatch.terms import ReasonCode

MAX_BYTES = 32 * 1024 * 1024
MAX_DEPTH = 64
MAX_ELEMENTS = 200_000
MAX_ATTRIBUTES = 200_000
MAX_ATTRIBUTES_PER_ELEMENT = 256
"""lxml needs quadratic time to list those of one element."""
_RESOURCE_LIMIT_EXCEEDED = 114
"""libxml2's code for text, attributes or nesting beyond its own limits."""

_OTHER_MARKS = 200_000
"""Of `<` in comments and the like, and of `=` in base64 and in texts."""
_LEAST_ELEMENT = len("<a/>")
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")
_TOO_WIDE = etree.XPath(f"boolean(//*[@*[{MAX_ATTRIBUTES_PER_ELEMENT + 1}]])")
_N_ELEMENTS = etree.XPath("count(//*)")
_N_ATTRIBUTES = etree.XPath("count(//@*)")

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

    __slots__ = ("_element",)

    def __init__(self, element: etree._Element) -> None:
        self._element = element

    @property
    def name(self) -> str:
        return _local(self._element)

    @property
    def text(self) -> str:
        return _text(self._element)

    @property
    def nodes(self) -> tuple["Node", ...]:
        return tuple(map(Node, self._element))

    def children(self, name: str) -> Iterator["Node"]:
        return map(Node, self._element.iterchildren("{*}" + name))

    def fields(self) -> dict[str, str]:
        """Stripped text of each child by its name, of several of one name the first."""
        fields: dict[str, str] = {}
        for element in self._element:
            name = _local(element)
            if name not in fields:
                fields[name] = _text(element).strip()
        return fields

    def text_at(self, *path: str) -> str:
        """Stripped text of the first element at `path`; empty where there is none."""
        node = self.child(*path)
        return node.text.strip() if node else ""

    def child(self, *path: str) -> "Node | None":
        """The first element at `path`; each step takes the first of its name."""
        element: etree._Element | None = self._element
        for name in path:
            if element is None:
                return None
            element = next(element.iterchildren("{*}" + name), None)
        return None if element is None else Node(element)

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
    text = head.decode(utf_16(head) or "iso-8859-1", errors="ignore")
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
    document = decoded(content)
    _refuse_entities(document)
    return Document(_build(document), document.is_repaired)


def _refuse_entities(document: XmlText) -> None:
    text = document.text
    start = _end_of(_MISC, text, 0)
    has_doctype = text.startswith("<!DOCTYPE", start)
    if has_doctype and text.find(">", start) >= 0 and not _PLAIN_DOCTYPE.match(text, start):
        raise InputFault(ReasonCode.XML_ENTITY)
    if b"&" not in document.utf_8:
        return
    if _ENTITY_REFERENCE.search(text) and _ENTITY_REFERENCE.search(_OPAQUE.sub("", text)):
        raise InputFault(ReasonCode.XML_ENTITY)


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


def _build(document: XmlText) -> Node:
    _refuse_excess(document.utf_8)
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
        parser.feed(document.utf_8)
    except etree.XMLSyntaxError as error:
        limit = error.code == _RESOURCE_LIMIT_EXCEEDED
        raise InputFault(ReasonCode.XML_LIMIT if limit else ReasonCode.XML_INVALID) from None
    try:
        root = parser.close()
    except etree.XMLSyntaxError:
        # The parser reports some faults of a whole document only here.
        if _root_closes_in(document.text):
            raise InputFault(ReasonCode.XML_INVALID) from None
        raise Incomplete("root not closed") from None
    _check(root, document.utf_8)
    return Node(root)


def _refuse_excess(content: bytes) -> None:
    """Before anything is built: no document within the limits has as many marks."""
    if _has_more(content, b"<", 2 * MAX_ELEMENTS + _OTHER_MARKS):
        raise InputFault(ReasonCode.XML_LIMIT)
    if _has_more(content, b"=", MAX_ATTRIBUTES + _OTHER_MARKS):
        raise InputFault(ReasonCode.XML_LIMIT, "attributes")


def _has_more(content: bytes, mark: bytes, limit: int) -> bool:
    """As `content.count(mark) > limit`, many times as fast."""
    if len(content) <= limit:
        return False
    return int(np.count_nonzero(np.frombuffer(content, dtype=np.uint8) == ord(mark))) > limit


def _check(root: etree._Element, content: bytes) -> None:
    """Refuse what the tree shows; it is only asked what `content` does not rule out already."""
    if b"&" in content and next(root.iter(etree.Entity), None) is not None:
        raise InputFault(ReasonCode.XML_ENTITY)  # a reference that was not expanded
    if _has_more(content, b"=", MAX_ATTRIBUTES_PER_ELEMENT) and _TOO_WIDE(root):
        raise InputFault(ReasonCode.XML_LIMIT, "attributes")
    has_many = len(content) > MAX_ELEMENTS * _LEAST_ELEMENT and _N_ELEMENTS(root) > MAX_ELEMENTS
    if has_many or _TOO_DEEP(root):
        raise InputFault(ReasonCode.XML_LIMIT)
    if _has_more(content, b"=", MAX_ATTRIBUTES) and _N_ATTRIBUTES(root) > MAX_ATTRIBUTES:
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


def _text(element: etree._Element) -> str:
    text = element.text or ""
    return text + "".join(child.tail or "" for child in element) if len(element) else text
