from __future__ import annotations

import numpy as np
import pytest

from consolidation.influence import influences


def gradients(seed: int, n: int, **widths: int) -> dict[str, np.ndarray]:
    dice = np.random.default_rng(seed)
    return {name: dice.normal(size=(n, width)).astype(np.float32) for name, width in widths.items()}


def test_influence_is_the_damped_gauss_newton_product() -> None:
    reply, messages = gradients(0, 1, a=7, b=5), gradients(1, 4, a=7, b=5)
    lengths = np.sqrt(sum(np.square(g).sum(1) for g in messages.values()))
    length = np.sqrt(sum(np.square(g).sum() for g in reply.values()))
    expected = np.zeros(4)
    for name in ("a", "b"):
        g = messages[name] / lengths[:, None]
        damping = 0.3 * np.mean(np.square(g).sum(1))
        matrix = g.T @ g / 4 + damping * np.eye(g.shape[1])
        expected += g @ np.linalg.solve(matrix, reply[name][0] / length)
    np.testing.assert_allclose(influences(reply, messages, damping=0.3), expected, rtol=1e-4)


def test_what_teaches_the_same_comes_first_and_its_opposite_last() -> None:
    messages = gradients(2, 6, a=40)
    messages["a"][5] = -messages["a"][2]
    scores = influences({"a": messages["a"][2:3]}, messages, damping=1.0)
    assert int(np.argmax(scores)) == 2
    assert int(np.argmin(scores)) == 5


def test_the_length_of_a_gradient_does_not_count() -> None:
    reply, messages = gradients(3, 1, a=9), gradients(4, 5, a=9)
    longer = {"a": messages["a"] * np.array([[1], [50], [1], [0.1], [1]], np.float32)}
    np.testing.assert_allclose(influences(reply, longer), influences(reply, messages), rtol=1e-3)


def test_a_gradient_of_zero_has_no_influence() -> None:
    reply, messages = gradients(5, 1, a=9), gradients(6, 3, a=9)
    messages["a"][1] = 0
    assert abs(influences(reply, messages)[1]) < 1e-6


def test_a_damping_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="damping"):
        influences(gradients(0, 1, a=2), gradients(0, 1, a=2), damping=0.0)
