"""What a keeper works for, and with whom it takes turns, from the settings."""

from headrace.chain import accounts
from headrace.keeper.decide import Policy
from headrace.settings import Settings
from headrace.terms.amounts import Money


def policy_of(settings: Settings, money: Money) -> Policy:
    """`MIN_TIP`, `ETHER` and `MARGIN` in base units of `money`. UsageError if one can't be."""
    return Policy(
        min_tip=money.parse(settings.min_tip, "HEADRACE_MIN_TIP"),
        token_per_ether=money.parse(settings.ether, "HEADRACE_ETHER"),
        margin=money.parse(settings.margin, "HEADRACE_MARGIN"),
    )


def rivals_of(settings: Settings) -> list[str]:
    """`RIVALS` as addresses. UsageError if one is neither an address nor an account of the home."""
    given = [text.strip() for text in settings.rivals.split(",")]
    return [
        accounts.resolve(settings.keys_folder, text, "HEADRACE_RIVALS") for text in given if text
    ]
