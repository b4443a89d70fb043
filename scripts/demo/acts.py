"""The jobs: what is wanted, at which price, and how each should end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.chain.catalogue import read_catalogue
from headrace.chain.manifest import Deployment
from headrace.chain.rpc import Rpc
from headrace.terms.jobfile import Catalogue, read_job
from headrace.terms.words import Terms

if TYPE_CHECKING:
    from scripts.demo.works import Work

# Seconds of a claim's window, of a reply to a demand, and for proofs after it; and of an attempt.
# An encoder's claim is looked at behind those before it, on a machine that plays everybody.
CHECKS = {
    "digits": "{window: 8s, reply: 6s, follow: 6s}",
    "embeddings": "{window: 40s, reply: 10s, follow: 10s}",
}
ATTEMPTS = {"digits": "20s", "embeddings": "60s"}
ROWS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """
    A job and what should come of it: its `outcome`, who is to serve it (None: nobody), in how many
    attempts, and how the providers before failed.
    """

    title: str
    needs: str
    price: str = "{start: 4, cap: 9, ramp: 30s}"
    attempts: int = 3
    outcome: str = "final"
    served_by: str | None = None
    tries: int = 1
    fails: tuple[str, ...] = ()
    requester: str = "lab"
    work: str = "digits"
    is_signed: bool = False
    has_input: bool = True
    extra: Mapping[str, str] = field(default_factory=dict)

    def text(self, model: bytes, input_id: bytes) -> str:
        """The job file."""
        lines = [
            f"model: '0x{model.hex()}'",
            f"input: '0x{input_id.hex()}'",
            "policy: exact",
            f"check: {CHECKS[self.work]}",
            f"price: {self.price}",
            f"attempts: {self.attempts}",
            f"time: {{deadline: 10m, attempt: {ATTEMPTS[self.work]}, acknowledge: 8s}}",
            f"needs: {self.needs}",
            *(f"{name}: {value}" for name, value in self.extra.items()),
        ]
        return "\n".join(lines) + "\n"


ACTS = (
    Act(
        title="digits in Europe",
        needs="{gpu: [RTX 4090], region: [eu-west, eu-central]}",
        served_by="aurora",
    ),
    Act(
        title="a large card in the US",
        needs="{gpu: [A100 80GB], region: [us-east], vram: 80}",
        served_by="borealis",
    ),
    Act(
        title="cheap, in Asia",
        needs="{gpu: [L4, T4], region: [jp, sg, kr]}",
        price="{start: 1.8, cap: 2.5, ramp: 20s}",
        served_by="cirrus",
    ),
    Act(
        title="the cheaper of two wins",
        needs="{gpu: [RTX 4090, H100 80GB]}",
        price="{start: 2.2, cap: 8, ramp: 40s}",
        served_by="aurora",
    ),
    Act(
        title="80 GB and fast",
        needs="{gpu: [A100 80GB, H100 80GB], vram: 80, benchmark: 1500}",
        served_by="haven",
    ),
    Act(
        title="a lie, then the truth",
        needs="{gpu: [RTX 3090, RTX 4090], region: [eu-west]}",
        served_by="aurora",
        tries=2,
        fails=("lie",),
    ),
    Act(
        title="a withheld trace, then the truth",
        needs="{gpu: [RTX 5090, A100 80GB]}",
        served_by="borealis",
        tries=2,
        fails=("silence",),
    ),
    Act(
        title="nobody comes, then somebody does",
        needs="{gpu: [A10, L4]}",
        served_by="cirrus",
        tries=2,
        fails=("no_show",),
    ),
    Act(
        title="one try, and it is a lie",
        needs="{gpu: [RTX 3090]}",
        attempts=1,
        outcome="refuted",
        fails=("lie",),
    ),
    Act(
        title="one try, and nobody comes",
        needs="{gpu: [A10]}",
        attempts=1,
        outcome="expired",
        fails=("no_show",),
    ),
    Act(
        title="signed, never posted",
        needs="{gpu: [RTX 4090, L4], latency: 2}",
        requester="studio",
        is_signed=True,
        served_by="aurora",
    ),
    Act(
        title="only who has a record",
        needs="{gpu: [RTX 4090, RTX 5090, RTX 3090, A10], completions: 1, faults: 5%}",
        requester="studio",
        served_by="aurora",
    ),
    Act(
        title="any data-centre card",
        needs="{gpu: [A100 80GB, H100 80GB, L4], vram: 40}",
        price="{start: 2.8, cap: 9, ramp: 60s}",
        requester="studio",
        served_by="borealis",
    ),
    Act(
        title="the night shift",
        needs="{gpu: [L4, A100 80GB, RTX 4090], latency: 3}",
        requester="studio",
        served_by="cirrus",
    ),
    Act(
        title="embeddings in the north",
        needs="{gpu: [L40S], region: [eu-north]}",
        requester="reader",
        work="embeddings",
        served_by="lyra",
    ),
    Act(
        title="embeddings in the US",
        needs="{gpu: [RTX A6000], vram: 48}",
        requester="reader",
        work="embeddings",
        served_by="orion",
    ),
    Act(
        title="a hidden lie in layer 4, withheld",
        needs="{gpu: [V100 32GB, L40S]}",
        requester="reader",
        work="embeddings",
        served_by="lyra",
        tries=2,
        fails=("silence",),
    ),
    Act(
        title="an input that isn't there",
        needs="{gpu: [RTX 4090, A100 80GB, L4]}",
        price="{start: 8, cap: 9, ramp: 30s}",
        outcome="cancelled",
        has_input=False,
    ),
    Act(
        title="nobody can serve this",
        needs="{gpu: [H200], gpus: 8}",
        outcome="cancelled",
        requester="studio",
    ),
)
IMAGES = ROWS * sum(act.has_input and act.work == "digits" for act in ACTS)
MISSING = next(index for index, act in enumerate(ACTS) if not act.has_input)
UNSERVED = next(index for index, act in enumerate(ACTS) if act.needs.startswith("{gpu: [H200]"))
RIVALS = next(index for index, act in enumerate(ACTS) if act.title.startswith("the cheaper"))


def terms_of(
    act: Act,
    index: int,
    work: "Work",
    deployment: Deployment,
    rpc: Rpc,
    requester: str,
    catalogue: Catalogue | None = None,
) -> Terms:
    """The act's terms from the chain's time on."""
    if catalogue is None:
        catalogue = read_catalogue(deployment.token(rpc), deployment.registry(rpc))
    input_id = bytes([0xEE]) * 32
    if act.has_input:
        input_id = work.form.root(work.input_of(index))
    program = work.model.program
    job = read_job(act.text(program, input_id), f"act {index + 1}", catalogue)
    return job.terms(
        requester=requester,
        verifier=deployment.address(work.verifier),
        program=program,
        input_id=input_id,
        units=work.units,
        input_bytes=work.form.size(work.units),
        now=rpc.head().timestamp,
        epoch=0,
        salt=index + 1,
    )
