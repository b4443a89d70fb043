"""Reading people's YAML and JSON files so that every complaint names the file, the line and the
field.

Scalars are taken as they are written: an amount of 1.10 is never a float, an id of 0x12 never an
integer.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation

import yaml

from headrace.errors import UsageError
from headrace.terms.words import checked_address

_DURATION = re.compile(r"(\d+)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)?")
_BYTES = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_WHOLE = re.compile(r"\d{1,30}")
_AMOUNT = re.compile(r"\d{1,40}(\.\d{1,40})?")
_PERCENT = re.compile(r"(\d{1,6}(?:\.\d{1,2})?)\s*%")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_YES_NO = {"true": True, "yes": True, "false": False, "no": False}


class JobFileError(UsageError):
    """
    A file that can't be used: `source` is its name, `line` counts from 1, `field` may be empty.
    """

    def __init__(self, source: str, line: int, field: str, problem: str) -> None:
        """Keep where it is beside the message."""
        where = f"{source}:{line}"
        super().__init__(f"{where}: {field}: {problem}" if field else f"{where}: {problem}")
        self.source = source
        self.line = line
        self.field = field


class Section:
    """
    A mapping in a file. The getters read a field by name, each in its own notation, and complain
    about it as JobFileError; a default of None makes a field required. `done` complains about
    fields nobody read.
    """

    def __init__(self, source: str, field: str, node: yaml.MappingNode) -> None:
        """Index the mapping's fields; a field given twice is refused."""
        self._source = source
        self._field = field
        self._node = node
        self._values: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        self._read: set[str] = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                raise JobFileError(source, line, field, "a field's name must be plain text")
            if key.value in self._values:
                raise JobFileError(source, line, self._path(key.value), "is given twice")
            self._values[key.value] = value
            self._lines[key.value] = line

    def __contains__(self, name: str) -> bool:
        """Whether the field is given."""
        return name in self._values

    def error(self, name: str, problem: str) -> JobFileError:
        """The complaint about a field, at its line, or at the section's if it isn't given."""
        line = self._lines.get(name, self._node.start_mark.line + 1)
        return JobFileError(self._source, line, self._path(name), problem)

    def text(self, name: str, default: str | None = None) -> str:
        """The field as it is written."""
        self._read.add(name)
        node = self._values.get(name)
        if node is None:
            if default is None:
                raise self.error(name, "is missing")
            return default
        return self._scalar(name, node)

    def texts(self, name: str, default: Sequence[str] | None = None) -> list[str]:
        """A list of at least one, or a single one, as written."""
        self._read.add(name)
        node = self._values.get(name)
        if node is None:
            if default is None:
                raise self.error(name, "is missing")
            return list(default)
        if isinstance(node, yaml.SequenceNode):
            if not node.value:
                raise self.error(name, "is an empty list")
            return [self._scalar(name, item) for item in node.value]
        return [self._scalar(name, node)]

    def lines(self, name: str) -> list[int]:
        """The line of each value that `texts` gives for a field."""
        node = self._values.get(name)
        items = node.value if isinstance(node, yaml.SequenceNode) else [node] if node else []
        return [item.start_mark.line + 1 for item in items]

    def section(self, name: str) -> "Section":
        """The section under a field; an empty one if it isn't given."""
        self._read.add(name)
        node = self._values.get(name)
        if node is None:
            mark = self._node.start_mark
            node = yaml.MappingNode("tag:yaml.org,2002:map", [], mark, mark)
        if not isinstance(node, yaml.MappingNode):
            raise self.error(name, "expected fields of its own under it")
        return Section(self._source, self._path(name), node)

    def amount(self, name: str, decimals: int, default: int | None = None, bits: int = 80) -> int:
        """Token base units, from an amount in whole tokens such as 1.25."""
        text = self._given(name, default)
        if text is None:
            return default or 0
        if not _AMOUNT.fullmatch(text):
            raise self.error(name, f"expected an amount such as 1.25, got {text!r}")
        try:
            units = Decimal(text).scaleb(decimals)
        except InvalidOperation:
            raise self.error(name, f"{text} is too large") from None
        if units != int(units):
            raise self.error(name, f"the token has {decimals} decimals, {text} has more")
        return self._fitting(name, text, int(units), bits)

    def whole(
        self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**32 - 1
    ) -> int:
        """A whole number from `least` to `most`."""
        text = self._given(name, default)
        if text is None:
            return default or 0
        if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
            raise self.error(name, f"expected a whole number from {least} to {most}, got {text!r}")
        return int(text)

    def duration(
        self, name: str, default: int | None = None, *, least: int = 0, most: int = 2**32 - 1
    ) -> int:
        """Seconds, from a duration such as 90s, 10m, 1h30m or 2d."""
        text = self._given(name, default)
        if text is None:
            return default or 0
        parts = _DURATION.findall(text)
        if not parts or _DURATION.sub("", text).strip():
            raise self.error(name, f"expected a duration such as 90s, 10m, 1h30m, got {text!r}")
        seconds = sum(int(count) * _SECONDS[unit] for count, unit in parts)
        if not least <= seconds <= most:
            raise self.error(name, f"expected {_spoken(least)} to {_spoken(most)}, got {text!r}")
        return seconds

    def size(self, name: str, default: int | None = None) -> int:
        """Bytes, from a size such as 640 or 64 KiB."""
        text = self._given(name, default)
        if text is None:
            return default or 0
        found = _SIZE.fullmatch(text)
        if not found:
            raise self.error(name, f"expected a size such as 640 or 64 KiB, got {text!r}")
        return self._fitting(name, text, int(found[1]) * _BYTES[found[2]], 32)

    def percent(
        self, name: str, default: int | None = None, *, least: int = 0, most: int = 10_000
    ) -> int:
        """Basis points, from a percentage such as 2.5%. The bounds are basis points too."""
        text = self._given(name, default)
        if text is None:
            return default or 0
        found = _PERCENT.fullmatch(text)
        if not found:
            raise self.error(name, f"expected a percentage such as 2.5%, got {text!r}")
        points = int(Decimal(found[1]) * 100)
        if not least <= points <= most:
            raise self.error(name, f"expected {least / 100:g}% to {most / 100:g}%, got {text!r}")
        return points

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        text = self.text(name, "true" if default else "false")
        if text.lower() not in _YES_NO:
            raise self.error(name, f"expected true or false, got {text!r}")
        return _YES_NO[text.lower()]

    def address(self, name: str, default: str | None = None) -> str:
        """A checksummed address."""
        text = self.text(name, default)
        try:
            return checked_address(name, text)
        except ValueError as error:
            raise self.error(name, str(error).partition(": ")[2]) from None

    def hashes(self, name: str) -> list[bytes]:
        """One or more 32-byte ids, written 0x and 64 digits."""
        found = self.texts(name)
        for text in found:
            if not _HASH.fullmatch(text):
                raise self.error(name, f"expected 0x and 64 digits, got {text!r}")
        return [bytes.fromhex(text[2:]) for text in found]

    def choice(self, name: str, among: Mapping[str, int], default: str | None = None) -> int:
        """What a name stands for in `among`, in any case."""
        return self._named(name, self.text(name, default), among)

    def mask(self, name: str, among: Mapping[str, int], bits: int) -> int:
        """A bit for each of the names listed; 0 (any) if the field isn't given."""
        word = 0
        for text in self.texts(name, ()):
            index = self._named(name, text, among)
            if index >= bits:
                raise self.error(name, f"{text} has no bit in a requirement, which has {bits}")
            word |= 1 << index
        return word

    def done(self) -> None:
        """Complains about the first field that no getter has asked for."""
        for name in self._values:
            if name not in self._read:
                close = difflib.get_close_matches(name, sorted(self._read), 1)
                hint = f"did you mean {close[0]}?" if close else f"known: {_listed(self._read)}"
                raise self.error(name, f"is not a field here; {hint}")

    def _path(self, name: str) -> str:
        return f"{self._field}.{name}" if self._field else name

    def _given(self, name: str, default: int | None) -> str | None:
        self._read.add(name)
        if default is not None and name not in self._values:
            return None
        return self.text(name)

    def _scalar(self, name: str, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(name, "expected a single value")
        text = str(node.value).strip()
        if not text or node.tag.endswith(":null"):
            raise self.error(name, "is empty")
        return text

    def _fitting(self, name: str, text: str, value: int, bits: int) -> int:
        if value >> bits:
            raise self.error(name, f"{text} is too large")
        return value

    def _named(self, name: str, text: str, among: Mapping[str, int]) -> int:
        lowered = {known.lower(): index for known, index in among.items()}
        if text.lower() not in lowered:
            close = difflib.get_close_matches(text.lower(), lowered, 1)
            hint = f"did you mean {close[0]}?" if close else f"known: {_listed(among)}"
            raise self.error(name, f"{text!r} is unknown; {hint}")
        return lowered[text.lower()]


def read_section(text: str, source: str) -> Section:
    """
    The fields of a YAML file, or of a JSON file if `source` ends in .json. JobFileError if it is
    malformed or no mapping.
    """
    if source.endswith(".json"):
        try:
            json.loads(text)
        except RecursionError:
            raise JobFileError(source, 1, "", "is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise JobFileError(
                source, error.lineno, "", f"not JSON: {error.msg} (column {error.colno})"
            ) from None
        # What JSON allows between values and YAML does not. Inside strings JSON has them escaped.
        text = text.replace("\t", " ")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        column = f" (column {mark.column + 1})" if mark else ""
        raise JobFileError(
            source,
            mark.line + 1 if mark else 1,
            "",
            f"not YAML: {error.problem or error.context}{column}",
        ) from None
    except RecursionError:
        raise JobFileError(source, 1, "", "is nested too deeply") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise JobFileError(source, line, "", f"not YAML: {error.reason}") from None
    if node is None:
        raise JobFileError(source, 1, "", "the file is empty")
    if not isinstance(node, yaml.MappingNode):
        raise JobFileError(source, node.start_mark.line + 1, "", "expected fields and values")
    return Section(source, "", node)


def _listed(names: Mapping[str, int] | set[str]) -> str:
    def few() -> Iterator[str]:
        for count, name in enumerate(sorted(names)):
            if count == 12:
                yield "..."
                return
            yield name

    return ", ".join(few())


def _spoken(seconds: int) -> str:
    for unit, length in reversed(_SECONDS.items()):
        if seconds >= length and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
