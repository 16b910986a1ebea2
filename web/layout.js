// A layered drawing of a graph of boxes, from the top down; the method of Sugiyama, Tagawa and Toda. Pure: numbers in, numbers out, the same for the same.
//
//   1. a layer for each box: below all that it takes input from, as near as possible; a layer takes only so many
//   2. an edge over several layers goes through a thin stand-in in each of those between, so that it passes beside boxes and never through them
//   3. an order in each layer with few crossings: sweeps by the mean place of the neighbours, the best kept
//   4. places: each box as near to the mean of its neighbours as the order and the gaps let it be (pool adjacent violators); chains are made straight
//
//   layOut([{id, width, height}], [{from, to}]) -> {boxes: Map id -> {x, y, width, height}, links: [{path, labelX, labelY}], width, height}
//
// Edges whose ends are unknown, or that close a circle, have an empty path. A label's place is where the edge arrives.

const GAP_X = 28, GAP_Y = 56, EDGE_GAP = 14, MARGIN = 24;
const ORDER_SWEEPS = 16, PLACE_SWEEPS = 40;

function build(boxes, edges) {
  const nodes = boxes.map((box) => ({id: box.id, width: box.width, height: box.height, layer: 0, x: 0, up: [], down: []}));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const links = edges.map((edge) => {
    const from = byId.get(edge.from), to = byId.get(edge.to);
    return from && to && from !== to ? {from, to, chain: []} : null;
  });
  return {nodes, links};
}

// In topological order; what is on a circle comes last, and its links against the order are dropped.
function sort(nodes, links) {
  const open = new Map(nodes.map((node) => [node, 0]));
  const out = new Map(nodes.map((node) => [node, []]));
  for (const link of links) {
    if (!link) continue;
    open.set(link.to, open.get(link.to) + 1);
    out.get(link.from).push(link.to);
  }
  const order = nodes.filter((node) => open.get(node) === 0);
  const seen = new Set(order);
  for (let i = 0; i < nodes.length; i++) {
    if (i === order.length) {
      const next = nodes.find((node) => !seen.has(node));
      seen.add(next);
      order.push(next);
    }
    for (const to of out.get(order[i])) {
      open.set(to, open.get(to) - 1);
      if (open.get(to) === 0 && !seen.has(to)) {
        seen.add(to);
        order.push(to);
      }
    }
  }
  const place = new Map(order.map((node, i) => [node, i]));
  links.forEach((link, i) => { if (link && place.get(link.from) > place.get(link.to)) links[i] = null; });
  return order;
}

function assignLayers(order, links) {
  const most = Math.max(5, Math.ceil(Math.sqrt(order.length) * 1.2));
  const above = new Map(order.map((node) => [node, []])), below = new Map(order.map((node) => [node, []]));
  for (const link of links) {
    if (!link) continue;
    above.get(link.to).push(link.from);
    below.get(link.from).push(link.to);
  }
  const taken = [];
  for (const node of order) {
    node.layer = above.get(node).reduce((layer, from) => Math.max(layer, from.layer + 1), 0);
    while ((taken[node.layer] || 0) >= most) node.layer++;
    taken[node.layer] = (taken[node.layer] || 0) + 1;
  }
  // A source goes down to where it is needed.
  for (const node of [...order].reverse()) {
    if (above.get(node).length || !below.get(node).length) continue;
    const lowest = Math.min(...below.get(node).map((to) => to.layer)) - 1;
    for (let layer = lowest; layer > node.layer; layer--) {
      if ((taken[layer] || 0) >= most) continue;
      taken[node.layer]--;
      taken[layer] = (taken[layer] || 0) + 1;
      node.layer = layer;
    }
  }
}

function connect(from, to) {
  from.down.push(to);
  to.up.push(from);
}

// Layers of boxes and of the stand-ins of long edges.
function makeLayers(order, links) {
  const layers = [];
  const put = (node) => (layers[node.layer] ||= []).push(node);
  order.forEach(put);
  for (const link of links) {
    if (!link) continue;
    let last = link.from;
    for (let layer = link.from.layer + 1; layer < link.to.layer; layer++) {
      const standIn = {id: null, width: EDGE_GAP, height: 0, layer, x: 0, up: [], down: []};
      put(standIn);
      link.chain.push(standIn);
      connect(last, standIn);
      last = standIn;
    }
    connect(last, link.to);
  }
  const dense = layers.filter(Boolean);
  dense.forEach((layer, i) => layer.forEach((node) => { node.layer = i; }));
  return dense;
}

const index = (layer) => layer.forEach((node, i) => { node.place = i; });

const mean = (nodes, of) => nodes.reduce((sum, node) => sum + of(node), 0) / nodes.length;

// Crossings of the links between two layers: inversions, counted in a tree of sums.
function crossings(upper, size) {
  const sums = new Array(size + 1).fill(0);
  let crossed = 0, total = 0;
  for (const node of upper) {
    const ends = node.down.map((to) => to.place);
    for (const end of ends) {
      let before = 0;
      for (let i = end + 1; i > 0; i -= i & -i) before += sums[i];
      crossed += total - before;
    }
    for (const end of ends) {
      for (let i = end + 1; i <= size; i += i & -i) sums[i]++;
      total++;
    }
  }
  return crossed;
}

const allCrossings = (layers) => layers.slice(1).reduce((sum, layer, i) => sum + crossings(layers[i], layer.length), 0);

function orderLayers(layers) {
  layers.forEach(index);
  let best = layers.map((layer) => [...layer]), least = allCrossings(layers);
  for (let sweep = 0; sweep < ORDER_SWEEPS && least > 0; sweep++) {
    const isDown = sweep % 2 === 0;
    for (const layer of isDown ? layers : [...layers].reverse()) {
      for (const node of layer) {
        const near = isDown ? node.up : node.down;
        node.wish = near.length ? mean(near, (other) => other.place) : node.place;
      }
      layer.sort((a, b) => a.wish - b.wish || a.place - b.place);
      index(layer);
    }
    const crossed = allCrossings(layers);
    if (crossed < least) {
      least = crossed;
      best = layers.map((layer) => [...layer]);
    }
  }
  best.forEach(index);
  return best;
}

const gapBetween = (a, b) => (a.width + b.width) / 2 + (a.id === null && b.id === null ? EDGE_GAP : GAP_X);

// The places that are nearest to the wishes, squared and weighted, and keep the order and the gaps. Nodes that push each other share a block.
function settle(layer) {
  const blocks = [];
  let offset = 0;
  layer.forEach((node, i) => {
    if (i) offset += gapBetween(layer[i - 1], node);
    node.offset = offset;
    let block = {sum: (node.wish - offset) * node.weight, weight: node.weight, first: i};
    while (blocks.length && blocks[blocks.length - 1].sum / blocks[blocks.length - 1].weight > block.sum / block.weight) {
      const other = blocks.pop();
      block = {sum: other.sum + block.sum, weight: other.weight + block.weight, first: other.first};
    }
    blocks.push(block);
  });
  blocks.forEach((block, i) => {
    const end = i + 1 < blocks.length ? blocks[i + 1].first : layer.length;
    for (let j = block.first; j < end; j++) layer[j].x = block.sum / block.weight + layer[j].offset;
  });
}

function placeLayers(layers) {
  for (const layer of layers) {
    for (const node of layer) [node.wish, node.weight] = [0, 1];
    settle(layer);
  }
  for (let sweep = 0; sweep < PLACE_SWEEPS; sweep++) {
    const isLast = sweep >= PLACE_SWEEPS - 2;
    for (const layer of sweep % 2 === 0 ? layers : [...layers].reverse()) {
      for (const node of layer) {
        const near = isLast ? [...node.up, ...node.down] : sweep % 2 === 0 ? node.up : node.down;
        node.wish = near.length ? mean(near, (other) => other.x) : node.x;
        // Long edges are to be straight; a box without neighbours on this side gives way.
        node.weight = !near.length ? 0.1 : node.id === null ? 4 : 1;
      }
      settle(layer);
    }
  }
}

// A box that only takes from one above, which only gives to it, stands right below it; what else there is gives way as little as it can.
function straighten(layers) {
  for (const layer of layers) {
    for (const node of layer) {
      const isNext = node.up.length === 1 && node.up[0].down.length === 1;
      node.wish = isNext ? node.up[0].x : node.x;
      node.weight = isNext ? 20 : 1;
    }
    settle(layer);
  }
}

// Turns middles into corners, with the layers' heights; returns each layer's {top, bottom}.
function stack(layers) {
  const left = Math.min(...layers.flat().map((node) => node.x - node.width / 2));
  let y = MARGIN;
  return layers.map((layer) => {
    const height = Math.max(...layer.map((node) => node.height));
    for (const node of layer) {
      node.x += MARGIN - left;
      node.y = y;
    }
    const span = {top: y, bottom: y + height};
    y += height + GAP_Y;
    return span;
  });
}

// Where the links of a box leave or enter it: spread over its middle, in the order of their other ends.
function ports(node, others) {
  const sorted = others.map((other, i) => ({x: other.x, i})).sort((a, b) => a.x - b.x || a.i - b.i);
  const step = Math.min(76, node.width * 0.86 / Math.max(1, others.length));
  const xs = [];
  sorted.forEach((entry, k) => { xs[entry.i] = node.x + (k - (others.length - 1) / 2) * step; });
  return xs;
}

const r = (n) => Math.round(n * 10) / 10;

function curve(x0, y0, x1, y1) {
  const middle = (y0 + y1) / 2;
  return `C${r(x0)} ${r(middle)} ${r(x1)} ${r(middle)} ${r(x1)} ${r(y1)}`;
}

// Straight down past each layer, curved in the gaps between them.
function drawLinks(links, spans) {
  const leaving = new Map(), entering = new Map();
  for (const link of links) {
    if (!link) continue;
    const add = (map, node, other) => map.set(node, [...(map.get(node) || []), {link, x: other.x}]);
    add(leaving, link.from, link.chain[0] || link.to);
    add(entering, link.to, link.chain[link.chain.length - 1] || link.from);
  }
  for (const [node, list] of leaving) ports(node, list).forEach((x, i) => { list[i].link.startX = x; });
  for (const [node, list] of entering) {
    const xs = ports(node, list), sorted = [...xs].sort((a, b) => a - b);
    // Labels that would touch stand in two rows.
    xs.forEach((x, i) => Object.assign(list[i].link, {endX: x, endRow: xs.length > 4 ? sorted.indexOf(x) % 2 : 0}));
  }
  return links.map((link) => {
    if (!link) return {path: '', labelX: 0, labelY: 0};
    let x = link.startX, y = link.from.y + link.from.height;
    let path = `M${r(x)} ${r(y)}`;
    const foot = spans[link.from.layer].bottom;
    if (foot > y) path += `V${r(foot)}`;
    y = foot;
    for (const node of link.chain) {
      path += curve(x, y, node.x, spans[node.layer].top) + `V${r(spans[node.layer].bottom)}`;
      [x, y] = [node.x, spans[node.layer].bottom];
    }
    const top = spans[link.to.layer].top;
    return {path: path + curve(x, y, link.endX, top), labelX: link.endX, labelY: top - 8 - link.endRow * 12};
  });
}

export function layOut(boxes, edges) {
  const {nodes, links} = build(boxes, edges);
  if (!nodes.length) return {boxes: new Map(), links: [], width: 0, height: 0};
  const order = sort(nodes, links);
  assignLayers(order, links);
  const layers = orderLayers(makeLayers(order, links));
  placeLayers(layers);
  straighten(layers);
  const spans = stack(layers);
  const places = new Map(nodes.map((node) => [node.id, {x: node.x - node.width / 2, y: node.y, width: node.width, height: node.height}]));
  return {
    boxes: places,
    links: drawLinks(links, spans),
    width: Math.max(...layers.flat().map((node) => node.x + node.width / 2)) + MARGIN,
    height: spans[spans.length - 1].bottom + MARGIN,
  };
}
