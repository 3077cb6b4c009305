// Where the nodes of a small part stand: springs along links, everything else pushes apart (Fruchterman and Reingold 1991).

const MOST = 140; // nodes around one
const ROUNDS = 220;
const LENGTH = 90; // of a link at rest
const REACH = 300; // beyond it nothing is pushed, so that what is tied to nothing stays near

/** The node, what it is tied to, and as much of what those are tied to as can be told apart. */
export function surroundings(map, node) {
  const found = new Set([node]);
  for (let ring = [node], depth = 0; depth < 2 && found.size < MOST; depth += 1) {
    const next = [];
    for (const one of ring) {
      for (let at = map.starts[one]; at < map.starts[one + 1] && found.size < MOST; at += 1) {
        if (!found.has(map.others[at])) { found.add(map.others[at]); next.push(map.others[at]); }
      }
    }
    ring = next;
  }
  return Uint32Array.from(found);
}

/** {x, y} with the places of those nodes; the same every time. The first stands in the middle. */
export function arrange(map, nodes) {
  const n = nodes.length;
  const place = new Map([...nodes].map((node, i) => [node, i]));
  const px = new Float64Array(n), py = new Float64Array(n), dx = new Float64Array(n), dy = new Float64Array(n);
  for (let i = 0; i < n; i += 1) {
    px[i] = Math.sqrt(i) * LENGTH * 0.5 * Math.cos(i * 2.39996);
    py[i] = Math.sqrt(i) * LENGTH * 0.5 * Math.sin(i * 2.39996);
  }
  const pairs = [];
  nodes.forEach((node, i) => {
    for (let at = map.starts[node]; at < map.starts[node + 1]; at += 1) {
      const j = place.get(map.others[at]);
      if (j > i) pairs.push([i, j]);
    }
  });
  for (let round = 0; round < ROUNDS; round += 1) {
    dx.fill(0);
    dy.fill(0);
    for (let i = 0; i < n; i += 1) for (let j = i + 1; j < n; j += 1) push(i, j);
    for (const [i, j] of pairs) pull(i, j);
    const most = LENGTH * (1 - round / ROUNDS) * 0.3;
    for (let i = 0; i < n; i += 1) {
      dx[i] -= px[i] * 0.06;
      dy[i] -= py[i] * 0.06;
      const far = Math.hypot(dx[i], dy[i]) || 1;
      px[i] += (dx[i] / far) * Math.min(far, most);
      py[i] += (dy[i] / far) * Math.min(far, most);
    }
  }
  const x = new Float32Array(map.n), y = new Float32Array(map.n);
  nodes.forEach((node, i) => { x[node] = px[i] - px[0]; y[node] = py[i] - py[0]; });
  return { x, y };

  function push(i, j) {
    const ax = px[i] - px[j], ay = py[i] - py[j];
    const square = Math.max(ax * ax + ay * ay, 1);
    if (square > REACH * REACH) return;
    const force = (LENGTH * LENGTH) / square;
    dx[i] += ax * force; dy[i] += ay * force; dx[j] -= ax * force; dy[j] -= ay * force;
  }

  function pull(i, j) {
    const ax = px[i] - px[j], ay = py[i] - py[j];
    const force = Math.hypot(ax, ay) / LENGTH;
    dx[i] -= ax * force; dy[i] -= ay * force; dx[j] += ax * force; dy[j] += ay * force;
  }
}
