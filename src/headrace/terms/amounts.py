"""Amounts of the token as people write them, and back."""

import re
from dataclasses import dataclass
from decimal import Decimal, localcontext

from headrace.errors import UsageError

_AMOUNT = re.compile(r"\d{1,40}(\.\d{1,40})?")
_AMOUNT_BITS = 80


@dataclass(frozen=True, slots=True)
class Money:
    """The token: how many decimals it has, and its short name."""

    decimals: int
    symbol: str

    def text(self, units: int) -> str:
        """Base units as an amount in tokens: 1250000 of 6 decimals is 1.25."""
        sign, digits = ("-" if units < 0 else ""), str(abs(units)).rjust(self.decimals + 1, "0")
        whole = digits[: len(digits) - self.decimals]
        rest = digits[len(digits) - self.decimals :].rstrip("0")
        return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"

    def of(self, units: int) -> str:
        """The same with the token's name."""
        return f"{self.text(units)} {self.symbol}"

    def parse(self, text: str, what: str) -> int:
        """
        Base units of an amount such as 1.25; UsageError, naming `what`, if it is none, is finer
        than the token, or is above 80 bits.
        """
        if not _AMOUNT.fullmatch(text.strip()):
            raise UsageError(f"{what}: expected an amount such as 1.25, got {text!r}")
        with localcontext() as exact:
            exact.prec = 120
            units = Decimal(text.strip()).scaleb(self.decimals)
            whole = int(units)
            if units != whole:
                raise UsageError(
                    f"{what}: {self.symbol} has {self.decimals} decimals, {text} has more"
                )
        if whole >> _AMOUNT_BITS:
            raise UsageError(f"{what}: {text} is too large")
        return whole
