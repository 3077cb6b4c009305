"""Weights of salience learned from what a person asked for and pinned. Only on request, and nothing is set: the result is
shown, and a person puts it into the settings.

A logistic regression over the recorded terms (Hosmer and Lemeshow, Applied Logistic Regression, 1989), no weight under
zero, pulled towards the weights in force: little evidence changes little. Having been asked for is what is
predicted, so the term `asked` keeps its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from sqlalchemy import or_, select

from consolidation.errors import TooLittleToLearn
from consolidation.readouts import auroc
from consolidation.stage import SalienceWeights
from db.engine import Database
from db.tables import Fact, FactUse

TERMS = tuple(item.name for item in fields(SalienceWeights) if item.name != "asked")
LEAST = 20  # facts of either kind
FOLDS = 5
PULL = 10.0  # as strong as so many facts

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Learned:
    """AUROC of wanted facts against the others: of the weights in force, and of learned ones on facts they were not
    learned from. `weights` are learned from all."""

    weights: SalienceWeights
    auroc_before: float
    auroc_after: float
    n_wanted: int
    n_others: int


def learn(database: Database, space_id: str, weights: SalienceWeights, *, seed: int = 0) -> Learned:
    """From every stored fact that was ever scored. Raises TooLittleToLearn under LEAST facts of either kind."""
    terms, wanted = _examples(database, space_id)
    n_wanted = int(wanted.sum())
    if min(n_wanted, len(wanted) - n_wanted) < LEAST:
        raise TooLittleToLearn(n_wanted, len(wanted) - n_wanted, LEAST)
    start = np.array([asdict(weights)[name] for name in TERMS])
    fold = np.random.default_rng(seed).permutation(len(wanted)) % FOLDS
    held_out = np.zeros(len(wanted))
    for number in range(FOLDS):
        learned = _fit(terms[fold != number], wanted[fold != number], start)
        held_out[fold == number] = terms[fold == number] @ learned
    return Learned(
        weights=replace(weights, **_named(_fit(terms, wanted, start))),
        auroc_before=_auroc(terms @ start, wanted),
        auroc_after=_auroc(held_out, wanted),
        n_wanted=n_wanted,
        n_others=len(wanted) - n_wanted,
    )


def as_toml(weights: SalienceWeights) -> str:
    """The lines for config.toml."""
    return "\n".join(
        ["[night.salience]", *(f"{name} = {value:.4g}" for name, value in asdict(weights).items())]
    )


def _auroc(scores: Matrix, wanted: Labels) -> float:
    return auroc(scores[wanted].astype(np.float32), scores[~wanted].astype(np.float32))


def _examples(database: Database, space_id: str) -> tuple[Matrix, Labels]:
    query = (
        select(Fact.salience_terms, or_(FactUse.n.is_not(None), Fact.pinned_at.is_not(None)))
        .outerjoin(FactUse, FactUse.fact_id == Fact.id)
        .where(
            Fact.space_id == space_id,
            Fact.state == "stored",
            Fact.retracted_at.is_(None),
            Fact.salience.is_not(None),
        )
        .order_by(Fact.recorded_at, Fact.id)
    )
    with database.reading() as session:
        rows = [(terms, bool(is_wanted)) for terms, is_wanted in session.execute(query) if terms]
    values = np.array([[terms.get(name, 0.0) for name in TERMS] for terms, _ in rows]).reshape(-1, len(TERMS))
    return values, np.array([is_wanted for _, is_wanted in rows], bool)


def _fit(terms: Matrix, wanted: Labels, start: Matrix) -> Matrix:
    """(T,) in [0, inf), of the same sum as `start`: only the proportions matter, and `asked` keeps its own."""
    from scipy.optimize import minimize

    n, scale = len(wanted), 10.0  # a salience of 0 to 1 becomes odds of e^0 to e^10 about the intercept
    signs = np.where(wanted, 1.0, -1.0)
    balance = np.where(wanted, n / (2 * wanted.sum()), n / (2 * (~wanted).sum()))

    def loss(x: Matrix) -> tuple[float, Matrix]:
        margin = signs * (scale * (terms @ x[:-1]) - x[-1])
        error = -signs * balance / (1 + np.exp(margin))
        pull = x[:-1] - start
        value = float((balance * np.logaddexp(0, -margin)).sum() + PULL * scale * (pull**2).sum())
        gradient = np.append(scale * (terms.T @ error) + 2 * PULL * scale * pull, -error.sum())
        return value, gradient

    bounds: Sequence[tuple[float | None, None]] = [*[(0.0, None)] * len(start), (None, None)]
    found = minimize(loss, np.append(start, 0.0), jac=True, method="L-BFGS-B", bounds=bounds).x[:-1]
    total = found.sum()
    return np.asarray(found * (start.sum() / total) if total else start)


def _named(weights: Matrix) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(TERMS, weights, strict=True)}
