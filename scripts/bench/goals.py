"""What each figure should reach on two cores; figures without a goal are shown as they are."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound that a figure may just reach."""

    relation: Callable[[float, float], bool]
    bound: float

    def holds(self, value: float) -> bool:
        """Whether `value` is good enough."""
        return self.relation(value, self.bound)

    @property
    def words(self) -> str:
        """The goal for a person."""
        sign = ">=" if self.relation is operator.ge else "<="
        return f"{sign} {self.bound:,.6g}"


def at_least(bound: float) -> Goal:
    """The more the better."""
    return Goal(operator.ge, bound)


def at_most(bound: float) -> Goal:
    """The less the better."""
    return Goal(operator.le, bound)


GOALS: Mapping[str, Goal] = MappingProxyType(
    {
        "ingest_events_per_s": at_least(20_000),
        "ingest_vs_web3": at_least(15),
        "catch_up_1m_s": at_most(60),
        "restart_s": at_most(2),
        "restart_200k_s": at_most(2),
        # A whole process until it is ready, its keyfile with a real passphrase.
        "daemon_restart_s": at_most(2),
        # A hundred times as much that is over.
        "restart_growth": at_most(1.5),
        "restart_rss_growth": at_most(1.1),
        "head_to_commit_p95_ms": at_most(350),
        "event_to_send_p95_ms": at_most(600),
        "matches_per_s": at_least(20_000),
        "match_cost_growth": at_most(2),
        "match_cost_growth_same_asks": at_most(2),
        # The share above the total price of the optimal assignment.
        "match_price_gap": at_most(0.02),
        "keeper_rss_mb": at_most(150),
        # Of the contracts, at a block in which nothing happened; each ask and each job needs seven.
        "read_calls_1000": at_most(0),
        "minilm_cosine_mean": at_least(0.99),
        "minilm_same_neighbour": at_least(0.98),
        "minilm_lies_convicted": at_least(500),
        "honest_elements_tried": at_least(2_000),
        "honest_elements_convicted": at_most(0),
        "traced_vs_plain": at_most(1.3),
        "int_vs_float": at_most(2),
        "watch_vs_run": at_most(1.2),
        "merkle_mb_per_s": at_least(150),
        "merkle_vs_leaves": at_most(1.2),
        "fault_build_s": at_most(1),
    }
)
