"""The right traces of wrong claims, as many as there is room for: the others are computed again."""

from collections import OrderedDict

from headrace.watch.large import LargeReport

_NODE_BYTES = 32


class LargeReports:
    """Reports by claim. Those that were used least lately go first; of one thread."""

    def __init__(self, most: int) -> None:
        """Hold up to `most` bytes of traces and inputs, and the last one that was used anyway."""
        self._most = most
        self._held: OrderedDict[bytes, LargeReport] = OrderedDict()
        self._sizes: dict[bytes, int] = {}

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return sum(self._sizes.values())

    def get(self, claim_id: bytes) -> LargeReport | None:
        """The report of a claim; None if it was let go of, or never there."""
        report = self._held.get(claim_id)
        if report is not None:
            self._held.move_to_end(claim_id)
        return report

    def put(self, claim_id: bytes, report: LargeReport) -> None:
        """Hold a report; others may have to go for it."""
        self.drop(claim_id)
        self._held[claim_id] = report
        self._sizes[claim_id] = size_of(report)
        while self.size > self._most and len(self._held) > 1:
            self.drop(next(iter(self._held)))

    def drop(self, claim_id: bytes) -> None:
        """Let go of a report."""
        self._held.pop(claim_id, None)
        self._sizes.pop(claim_id, None)


def size_of(report: LargeReport) -> int:
    """Bytes that a report takes: the numbers of its trace and input, and the trees over them."""
    model, units = report.right.model, report.right.units
    numbers = sum(tensor.nbytes for tensor in (report.tensor, *report.right.tensors))
    leaves = sum(operator.out.leaves(units) for operator in model.operators)
    # Trees of four children hold a third more nodes than leaves.
    return numbers + _NODE_BYTES * leaves * 4 // 3
