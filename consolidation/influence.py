"""How much training on each of some messages would have taught the model to say a reply.

The influence of message i on the loss of a reply is g_reply^T H^-1 g_i (Koh and Liang 2017, arXiv:1703.04730, eq. 2), over
the factors of the adapter that serves and module by module, with the damped Gauss-Newton matrix of the messages
compared in place of H: H = 1/n sum_i g_i g_i^T + lambda I with lambda a share of the mean squared length of a gradient (Kwon et al. 2023,
DataInf, arXiv:2310.00902, section 3, who swap the sum and the inverse; here it is exact). With the n x n matrix K of the
messages' inner products and k those with the reply, Woodbury's identity makes it n (K + n lambda I)^-1 k: no matrix of the size of the
weights is ever formed. Gradients are scaled to one length first, or the longest ones win (Xia et al. 2024, LESS,
arXiv:2402.04333, section 3). The gradients themselves are `agents.runtime.lora_gradients`. numpy only.
Letters: N message, K numbers of one module's gradient.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from memory.ports import FloatMatrix

DAMPING = 0.1  # of the mean squared length
_LEAST = 1e-12


def influences(
    reply: Mapping[str, FloatMatrix], messages: Mapping[str, FloatMatrix], *, damping: float = DAMPING
) -> FloatMatrix:
    """Influence (N,) of each message; positive where learning it makes the reply likelier.

    `reply`: module -> (1, K); `messages`: module -> (N, K), of the same modules. Raises ValueError for a damping that is not above 0.
    """
    if damping <= 0:
        raise ValueError("the damping must be above 0")
    n = len(next(iter(messages.values())))
    length, lengths = _length(reply), _length(messages)
    total = np.zeros(n)
    for name, g_NK in messages.items():
        scaled = np.asarray(g_NK, np.float64) / np.maximum(lengths, _LEAST)[:, None]
        kernel = scaled @ scaled.T
        towards = scaled @ (np.asarray(reply[name][0], np.float64) / max(float(length[0]), _LEAST))
        ridge = damping * float(np.trace(kernel)) + _LEAST  # n lambda
        total += n * np.linalg.solve(kernel + ridge * np.eye(n), towards)
    return np.asarray(total, np.float32)


def _length(gradients: Mapping[str, FloatMatrix]) -> FloatMatrix:
    """Length of each row over all modules, (N,)."""
    squares = [np.square(g_NK, dtype=np.float64).sum(axis=1) for g_NK in gradients.values()]
    return np.asarray(np.sqrt(np.sum(squares, axis=0)), np.float64)
