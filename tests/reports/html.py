"""A page as a strict reader sees it: elements that are opened are closed, in order; texts, ids, addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

# HTML's elements without an end tag.
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_HIDDEN = {"style", "script", "title"}


@dataclass
class Element:
    """An element: its name, attributes, and what is in it, texts and elements in order."""

    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        """Yield this element and all below it, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, *tags: str) -> list[Element]:
        """Return the elements of these names below this one."""
        return [element for element in self.walk() if element.tag in tags]

    def by_id(self, name: str) -> Element:
        """Return the one element of this id."""
        (found,) = [element for element in self.walk() if element.attributes.get("id") == name]
        return found

    @property
    def text(self) -> str:
        """Return what can be read, white space as one space."""
        return " ".join(" ".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child
            elif child.tag not in _HIDDEN:
                yield from child._texts()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("document", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert any(element.tag == "svg" for element in self.open) or tag in VOID, f"<{tag}/> is no HTML"
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>, line {self.getpos()[0]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read_html(text: str) -> Element:
    """Return a page as a tree. Raises AssertionError where tags do not balance."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == [reader.root], f"never closed: {[element.tag for element in reader.open[1:]]}"
    return reader.root


def table_rows(page: Element, name: str) -> dict[str, list[str]]:
    """Return a table's rows by their heading: what the cells say."""
    rows = {}
    for row in page.by_id(name).all("tr"):
        head = [cell for cell in row.all("th") if cell.attributes.get("scope") == "row"]
        if head:
            rows[head[0].text] = [cell.text for cell in row.all("td")]
    return rows
