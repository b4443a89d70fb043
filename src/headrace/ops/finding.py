"""What a doctor's check found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One check. `detail` is what was found; `advice`, if it isn't ok, what to do. `is_unreachable`
    says that nothing was found out because something didn't answer.
    """

    name: str
    is_ok: bool
    detail: str
    advice: str = ""
    is_unreachable: bool = False


def ok(name: str, detail: str) -> Finding:
    """All is well."""
    return Finding(name, True, detail)


def bad(name: str, detail: str, advice: str) -> Finding:
    """A person has to do something."""
    return Finding(name, False, detail, advice)


def silent(name: str, detail: str, advice: str) -> Finding:
    """Nothing was found out."""
    return Finding(name, False, detail, advice, is_unreachable=True)
