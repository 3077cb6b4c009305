"""How attention reads the token matrix: heads and rows as lines, gathered by index.

A line is one head of one position, `head` numbers. Per chunk come the lines of all queries (kv head, row, query of the
group, position), of all keys and of all values (kv head, row, position), so that each is one batch of matrices without
another copy. A position whose token belongs to an earlier row reads that token's lines; what comes back for its key and
value is added to the token's, and nothing comes back for its query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from consolidation.trainer.fused import Angles, Fused
from consolidation.trainer.layout import Chunk, Layout

_MINUS = -30000.0


@dataclass(frozen=True, slots=True)
class Heads:
    n_q: int
    n_kv: int
    size: int
    scale: float

    @property
    def n(self) -> int:
        """Lines per position: queries, keys and values."""
        return self.n_q + 2 * self.n_kv


@dataclass(frozen=True, slots=True)
class Rope:
    """cos and signed sin per position, (T, head): the first half of sin negated, so that x cos + swap(x) sin turns x."""

    cos: torch.Tensor
    sin: torch.Tensor


class Spread:
    """The index tensors of one layout for one model. `fused`: compiled passes, where there are some."""

    def __init__(self, layout: Layout, heads: Heads, rope: Rope, fused: Fused | None = None) -> None:
        device, dtype = rope.cos.device, rope.cos.dtype
        self.heads = heads
        self._fused = fused
        self._n_turned = heads.n_q + heads.n_kv
        self.chunks = layout.chunks
        self.n_positions = layout.n_positions
        self.n_tokens = layout.n_tokens
        token, is_own, is_real = (part.to(device) for part in _positions(layout))
        lines, heads_of = zip(*(_order(chunk, heads) for chunk in layout.chunks), strict=True)
        position, head = torch.cat(lines).to(device), torch.cat(heads_of).to(device)
        self._into = token[position] * heads.n + head
        self._home = _inverse(self._into, is_own[position], self.n_tokens * heads.n)
        is_query = head < heads.n_q
        q_position, q_head = position[is_query], head[is_query]
        q_into = token[q_position] * heads.n_q + q_head
        self._q_home = _inverse(q_into, is_own[q_position], self.n_tokens * heads.n_q)
        self._q_from = torch.where(is_own[q_position], q_into, self.n_tokens * heads.n_q)
        self._shared = self._share(token, is_own, is_real, position, head, dtype)
        cos, sin = self._angles = _angles(layout, rope)
        self.masks: list[torch.Tensor] = []
        if fused is None:
            cos, sin = self._angles = cos.repeat(1, self._n_turned), sin.repeat(1, self._n_turned)
            self._angles_back = cos * heads.scale, sin * heads.scale
            per = heads.n_q // heads.n_kv
            self.masks = [
                torch.full((c.t, c.t), _MINUS, dtype=dtype, device=device).triu_(1).repeat(1, per, 1)
                for c in layout.chunks
            ]

    def _share(
        self,
        token: torch.Tensor,
        is_own: torch.Tensor,
        is_real: torch.Tensor,
        position: torch.Tensor,
        head: torch.Tensor,
        dtype: torch.dtype,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """For tokens of several rows: their own key and value lines, those of all their positions, and which belongs to which."""
        tokens = torch.unique(token[is_real & ~is_own])
        if not len(tokens):
            return None
        places = torch.nonzero(is_real & torch.isin(token, tokens)).squeeze(1)
        n_kv = 2 * self.heads.n_kv
        is_kv = head >= self.heads.n_q
        line_of = torch.empty(len(token), n_kv, dtype=torch.long, device=token.device)
        line_of[position[is_kv], head[is_kv] - self.heads.n_q] = torch.nonzero(is_kv).squeeze(1)
        sums = (token[places].unsqueeze(0) == tokens.unsqueeze(1)).to(dtype)
        own = self._home.view(self.n_tokens, self.heads.n)[tokens, self.heads.n_q :]
        return own.flatten(), line_of[places].flatten(), sums

    def parts(self, lines: torch.Tensor, chunk: Chunk) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Views of a chunk's queries (n_kv * b, per * t, head), keys and values (n_kv * b, t, head)."""
        heads = self.heads
        n = chunk.b * chunk.t
        start = chunk.start * heads.n
        q, k, v = torch.split(
            lines[start : start + n * heads.n], [n * heads.n_q, n * heads.n_kv, n * heads.n_kv]
        )
        batch = heads.n_kv * chunk.b
        return q.view(batch, -1, heads.size), k.view(batch, -1, heads.size), v.view(batch, -1, heads.size)

    def queries(self, lines: torch.Tensor, chunk: Chunk) -> torch.Tensor:
        """A chunk's part of lines that are queries only."""
        n_q = self.heads.n_q
        part = lines[chunk.start * n_q : (chunk.start + chunk.b * chunk.t) * n_q]
        return part.view(self.heads.n_kv * chunk.b, -1, self.heads.size)

    def spread(self, qkv: torch.Tensor, out: torch.Tensor, take: Callable[..., torch.Tensor]) -> None:
        """Lines of all positions from the tokens' (M, n * head), queries and keys turned by position; may change qkv."""
        if self._fused is not None:
            self._fused.spread_turned(qkv, self._into, self._angles, out, self.heads.n, self._n_turned)
            return
        self._turn(qkv, qkv, take, self._angles, 1)
        torch.index_select(qkv.view(-1, self.heads.size), 0, self._into, out=out)

    def gather(self, lines: torch.Tensor, out: torch.Tensor, take: Callable[..., torch.Tensor]) -> None:
        """The opposite for gradients: dL/d(qkv) (M, n * head) from dL/d(lines), which it may change.

        Queries and keys are turned back, and times the scale of the scores.
        """
        heads = self.heads
        if self._shared is not None:
            own, places, sums = self._shared
            parts = torch.index_select(lines, 0, places).view(sums.shape[1], -1)
            lines[own] = (sums @ parts).view(-1, heads.size)
        if self._fused is not None:
            self._fused.gather_turned(
                lines, self._home, self._angles, heads.scale, out, heads.n, self._n_turned
            )
            return
        gathered = torch.index_select(lines, 0, self._home).view(self.n_tokens, -1)
        self._turn(gathered, out, take, self._angles_back, -1)

    def gather_output(self, lines: torch.Tensor, out: torch.Tensor) -> None:
        """What attention gives to each token, into `out` (M, n_q * head), from the query lines of its own row."""
        if self._fused is not None:
            self._fused.gather(lines, self._q_home, out)
            return
        out.copy_(torch.index_select(lines, 0, self._q_home).view(self.n_tokens, -1))

    def spread_output(self, g: torch.Tensor) -> torch.Tensor:
        """The opposite for gradients: query lines from (M + 1, n_q * head), whose last row is set to zero for all others."""
        g[self.n_tokens].zero_()
        return torch.index_select(g.view(-1, self.heads.size), 0, self._q_from)

    def _turn(
        self,
        x: torch.Tensor,
        out: torch.Tensor,
        take: Callable[..., torch.Tensor],
        angles: Angles,
        sign: int,
    ) -> None:
        """Turn queries and keys of x (M, n * head) into `out`, values as they are."""
        cos, sin = angles
        m, width = cos.shape
        heads = x[:, :width].view(m, -1, self.heads.size)
        half = self.heads.size // 2
        swapped = take("swapped", *heads.shape)
        torch.cat((heads[..., half:], heads[..., :half]), dim=-1, out=swapped)
        torch.mul(x[:, :width], cos, out=out[:, :width])
        out[:, :width].addcmul_(swapped.view(m, width), sin, value=sign)
        if out is not x:
            out[:, width:] = x[:, width:]


def _positions(layout: Layout) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token of each position of the chunks, whether it is its row's own, and whether it is none of the padding."""
    token = torch.zeros(layout.n_positions, dtype=torch.long)
    is_own = torch.zeros(layout.n_positions, dtype=torch.bool)
    is_real = torch.zeros(layout.n_positions, dtype=torch.bool)
    starts = (chunk.start + i * chunk.t for chunk in layout.chunks for i in range(chunk.b))
    for start, row, first in zip(starts, layout.tokens, layout.first_own, strict=True):
        token[start : start + len(row)] = torch.tensor(row)
        is_own[start + first : start + len(row)] = True
        is_real[start : start + len(row)] = True
    return token, is_own, is_real


def _order(chunk: Chunk, heads: Heads) -> tuple[torch.Tensor, torch.Tensor]:
    """Position and head of every line of a chunk."""
    own = torch.arange(chunk.start, chunk.start + chunk.b * chunk.t).view(1, chunk.b, 1, chunk.t)
    position, head = [], []
    for first, per in ((0, heads.n_q // heads.n_kv), (heads.n_q, 1), (heads.n_q + heads.n_kv, 1)):
        shape = (heads.n_kv, chunk.b, per, chunk.t)
        of = first + torch.arange(heads.n_kv * per).view(heads.n_kv, 1, per, 1)
        position.append(own.expand(shape).flatten())
        head.append(of.expand(shape).flatten())
    return torch.cat(position), torch.cat(head)


def _inverse(into: torch.Tensor, is_own: torch.Tensor, size: int) -> torch.Tensor:
    home = torch.empty(size, dtype=torch.long, device=into.device)
    home[into[is_own]] = torch.nonzero(is_own).squeeze(1)
    return home


def _angles(layout: Layout, rope: Rope) -> Angles:
    """cos and signed sin of each token, (M, head)."""
    place = torch.empty(layout.n_tokens, dtype=torch.long)
    for row, first in zip(layout.tokens, layout.first_own, strict=True):
        place[torch.tensor(row[first:], dtype=torch.long)] = torch.arange(first, len(row))
    place = place.to(rope.cos.device)
    return rope.cos[place], rope.sin[place]
