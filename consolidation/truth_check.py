"""What the model's own activations say of a statement: the truth probe behind the interface of a judge.

For claims that a persona makes, beside the graph and never in its place: it says what the weights hold to be true, not
what anybody said, so a night never asks it. It abstains, with the reason, where no probe is usable for exactly the
weights that speak, and is unsure unless the probe is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.judges import SUPPORTED, UNCLEAR, UNSUPPORTED
from consolidation.errors import BadProbe, BrokenProbe
from consolidation.probe_training import Reader, activations
from consolidation.probes import TRUTH, Probe, read_probe
from db.engine import Database
from memory.artifacts import list_artifacts
from memory.types import Episode, Verdict

SURE = 0.9  # probability of true, or of false, from which the probe says so
ABSENT = "no truth probe was trained"


@dataclass(slots=True)
class TruthCheck:
    """Implements Judge. `probe` is None where none can be used, `why` says why."""

    probe: Probe | None
    model: Reader
    why: str = ABSENT
    name: str = "truth-probe"

    def supports(
        self, statement: str, episodes: Sequence[Episode] = (), evidence: Collection[str] = ()
    ) -> Verdict:
        """By the statement alone: the messages are not read."""
        if self.probe is None:
            return Verdict(None, self.why)
        try:
            acts_NLD, _ = activations(
                self.model, [statement], self.probe.manifest.layers, self.probe.manifest.token_rule
            )
        except BadProbe as error:
            return Verdict(None, str(error))
        (true,) = self.probe.read(acts_NLD[:, 0])
        reason = f"the truth probe {self.probe.manifest.name} gives it {true:.2f}"
        if true >= SURE:
            return Verdict(SUPPORTED, reason, true)
        return Verdict(UNSUPPORTED if true <= 1 - SURE else UNCLEAR, reason, max(true, 1 - true))


def usable_truth_probe(
    database: Database, space_id: str, home: Path, model_hash: str, recipe: str | None
) -> tuple[Probe | None, str]:
    """The newest truth probe, if it may be read with these weights, else None and why; an older one is not fallen
    back on: with enough of them, one would look usable by luck.

    `recipe`: hash of the recipe that the model wears, None for the plain base.
    """
    rows = list_artifacts(database, space_id, kind="probe")
    truths = [row for row in rows if row.tainted_at is None and row.meta.get("kind") == TRUTH]
    if not truths:
        return None, ABSENT
    try:
        probe = read_probe(home / truths[-1].path)
    except BrokenProbe as error:
        return None, str(error)
    manifest = probe.manifest
    if (manifest.model_hash, manifest.recipe) != (model_hash, recipe):
        return None, f"the truth probe {manifest.name} was made with other weights"
    if not manifest.usable:
        return None, f"the truth probe {manifest.name} is not usable: {manifest.reason}"
    return probe, manifest.reason
