// Draws what a view of the timeline shows: only lanes on the screen, only blocks in the view.

const ROW = 18, HEADING = 22, EVENT_ROW = 16, MEMORY = 2 * EVENT_ROW + 10, RESIDENT = 74, AXIS = 38;
// Left of the lanes, for names; narrower on a phone.
const gutterOf = (width) => clamp(width * 0.28, 84, 150);

// Headings and lanes from top to bottom, for the lanes that the filter lets through.
function layOut(data, shown) {
  const rows = [];
  let [top, group] = [0, -1];
  for (const lane of data.lanes) {
    if (!shown(lane)) continue;
    if (lane.group !== group) {
      group = lane.group;
      rows.push({ heading: data.groups[group], top, height: HEADING });
      top += HEADING;
    }
    rows.push({ lane, top, height: ROW });
    top += ROW;
  }
  return { rows, height: top, rowOf: new Map(rows.filter((row) => row.lane).map((row) => [row.lane.index, row])) };
}

// The head above the lanes: the culprit's call, memory calls, resident sizes, the freezes' names and the axis.
function headHeight(data) {
  return (data.operation.length ? 24 : 0) + (data.memory.length ? MEMORY : 0) + shadedHeight(data);
}

// The part of the head that the shade of a freeze covers.
function shadedHeight(data) {
  return (data.resident ? RESIDENT : 0) + AXIS;
}

// Heights differ too, for whoever cannot tell the colours.
const HEIGHTS = { "k-idle": 0.16, "k-wait": 0.55, "k-cpu": 0.8 };

// Returns the kinds of blocks that are to be seen.
function draw(pen, data, view, layout, colors, state) {
  const { width, height, scroll } = state;
  const head = headHeight(data);
  const gutter = gutterOf(width);
  const scale = (width - gutter) / (view.end - view.start);
  const x = (time) => gutter + (time - view.start) * scale;
  const seen = new Set();
  const sheet = { x, scale, colors, width, height, head, gutter, seen };
  pen.fillStyle = colors.paper;
  pen.fillRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";

  pen.save();
  pen.beginPath();
  pen.rect(gutter, 0, width - gutter, height);
  pen.clip();
  pen.fillStyle = colors.freeze;
  for (const [start, end] of data.windows) pen.fillRect(x(start), head - shadedHeight(data), Math.max(1, (end - start) * scale), height);
  pen.restore();
  const step = roundStep((view.end - view.start) / Math.max(2, (width - gutter) / 110));
  const ticks = [];
  for (let tick = Math.ceil((view.start - data.zero) / step) * step; tick + data.zero <= view.end; tick += step) ticks.push(tick);
  pen.strokeStyle = colors.grid;
  for (const tick of ticks) upright(pen, Math.round(x(tick + data.zero)) + 0.5, head - 6, height);

  for (const row of layout.rows) {
    const top = head + row.top - scroll;
    if (top + row.height < head || top > height) continue;
    if (row.lane) drawLane(pen, data, row.lane, top, view, sheet, state.lane === row.lane);
  }
  const y = (lane) => (layout.rowOf.has(lane) ? head + layout.rowOf.get(lane).top + ROW / 2 - scroll : null);
  const worth = (wait) => wait.end - wait.start > (view.end - view.start) / 100;
  if (state.arrows) for (const wait of data.waits.filter(worth)) arrow(pen, wait, sheet, y, 0.35);
  if (state.wait) {
    outline(pen, state.wait, sheet, y);
    arrow(pen, state.wait, sheet, y, 1);
  }
  drawHead(pen, data, view, sheet);
  for (const row of layout.rows) {
    const top = head + row.top - scroll;
    if (row.heading && top >= head && top < height) drawHeading(pen, row, top, sheet);
  }
  pen.textAlign = "center";
  for (const tick of ticks) text(pen, tickLabel(tick, step), clamp(x(tick + data.zero), gutter, width - 24), head - 12, 110, colors.faint);
  pen.textAlign = "left";
  return seen;
}

function upright(pen, x, top, bottom) {
  pen.beginPath();
  pen.moveTo(x, top);
  pen.lineTo(x, bottom);
  pen.stroke();
}

// Where it is longer than the names below it, it stands on paper and not on the shade of a freeze.
function drawHeading(pen, row, top, { colors, width, gutter }) {
  const room = pen.measureText(row.heading).width + 6;
  pen.fillStyle = colors.paper;
  if (room > gutter) pen.fillRect(0, top, Math.min(width, room), row.height - 2);
  text(pen, row.heading, 0, top + row.height * 0.62, width, colors.faint);
}

function drawLane(pen, data, lane, top, view, { x, colors, width, gutter, seen }, selected) {
  const height = ROW - 4;
  text(pen, laneName(pen, lane.name, gutter - 14), 8, top + ROW / 2, gutter - 14, selected ? colors.strong : colors.ink);
  pen.fillStyle = colors.lane;
  pen.fillRect(gutter, top + 2, width - gutter, height);
  for (let at = firstAfter(lane, view.start); at < lane.starts.length && lane.starts[at] < view.end; at += 1) {
    const kind = data.kinds[lane.kinds[at]][0];
    seen.add(kind);
    const part = height * (HEIGHTS[kind] || 1);
    const left = Math.max(gutter, x(lane.starts[at]));
    const right = Math.min(width, x(lane.ends[at]));
    pen.fillStyle = colors[kind.slice(2)];
    pen.fillRect(left, top + 2 + (height - part) / 2, Math.max(0.5, right - left), part);
  }
  if (selected) {
    pen.strokeStyle = colors.strong;
    pen.strokeRect(gutter + 0.5, top + 1.5, width - gutter - 1, height + 1);
  }
}

// Threads of a pool differ in their number, at the end, so the name is what is cut.
function laneName(pen, name, room) {
  const [, comm, tid] = name.match(/^(.*?)( [0-9]+)?$/);
  for (let kept = comm.length; kept > 2; kept -= 1) {
    const shown = kept === comm.length ? name : `${comm.slice(0, kept)}…${tid || ""}`;
    if (pen.measureText(shown).width <= room) return shown;
  }
  return name;
}

function drawHead(pen, data, view, { x, colors, width, height, head, gutter }) {
  pen.fillStyle = colors.paper;
  const shaded = shadedHeight(data);
  pen.fillRect(0, 0, width, head - shaded);
  pen.fillRect(0, head - shaded, gutter, shaded);
  let top = 0;
  const bar = (start, end, y, tall, color) => {
    const left = Math.max(gutter, x(start));
    const right = Math.min(width, x(end));
    if (right < gutter || left > width) return null;
    pen.fillStyle = color;
    pen.fillRect(left, y, Math.max(2, right - left), tall);
    return [left, Math.max(left + 2, right)];
  };
  if (data.operation.length) {
    text(pen, "Operation", 0, 10, gutter - 8, colors.faint);
    for (const [start, end, label, moment] of data.operation) {
      const at = bar(start, end, 0, 20, colors.op);
      if (at && moment) {
        const room = pen.measureText(label).width + 6;
        text(pen, label, at[1] + room < width ? at[1] + 5 : at[0] - room, 10, room, colors.ink);
      } else if (at && at[1] - at[0] > 60) text(pen, label, at[0] + 6, 10, at[1] - at[0] - 8, colors.onop);
    }
    top = 24;
  }
  if (data.memory.length) {
    text(pen, "Memory calls", 0, top + 7, gutter - 8, colors.faint);
    // The largest come first and get a label, in two rows; the rest is thin, below.
    const taken = [[], []];
    for (const [start, end, label] of data.memory) {
      if (end < view.start || start > view.end) continue;
      const room = 12 + pen.measureText(label).width;
      const bars = [Math.max(gutter, x(start)), Math.max(gutter + 2, x(start) + 2, x(end))];
      // The label stands right of its bar, or left of it at the right edge.
      const after = bars[1] + room <= width;
      const [left, right] = after ? [bars[0], bars[1] + room] : [bars[0] - room, bars[1]];
      const row = left < gutter ? -1 : taken.findIndex((row) => row.every(([from, to]) => right <= from || to <= left));
      const at = bar(start, end, top + (row < 0 ? 2 : row) * EVENT_ROW, row < 0 ? 6 : 12, colors.event);
      if (!at || row < 0) continue;
      text(pen, label, after ? at[1] + 4 : left + 8, top + row * EVENT_ROW + 7, room, colors.faint);
      taken[row].push([left, right]);
    }
    top += MEMORY;
  }
  pen.strokeStyle = colors.edge;
  pen.setLineDash([4, 4]);
  for (const edge of data.windows.flatMap(([start, end]) => [start, end])) {
    if (edge < view.start || edge > view.end) continue;
    // Not through the times that are written on the axis.
    upright(pen, x(edge), top, head - 20);
    upright(pen, x(edge), head - 4, height);
  }
  pen.setLineDash([]);
  // Freezes of several processes may lie over each other: the longest has its label.
  const labels = [];
  for (const [start, end, label] of data.windows.toSorted((a, b) => b[1] - b[0] - (a[1] - a[0]))) {
    const [left, right] = [Math.max(gutter, x(start)), Math.min(width, x(end))];
    const [middle, room] = [(left + right) / 2, pen.measureText(label).width + 8];
    const [from, to] = [middle - room / 2, middle + room / 2];
    if (room > right - left || labels.some((other) => from < other[1] && to > other[0])) continue;
    labels.push([from, to]);
    pen.textAlign = "center";
    text(pen, label, middle, top + 9, right - left, colors.edge);
    pen.textAlign = "left";
  }
  if (data.resident) drawResident(pen, data.resident, view, { x, colors, width, gutter }, top + 22, RESIDENT - 28);
}

// A step line for each part of the resident size, on one scale from 0.
function drawResident(pen, { title, top: most, label, lines }, view, { x, colors, width, gutter }, top, tall) {
  const y = (bytes) => top + tall * (1 - bytes / most);
  text(pen, title, 0, top + 2, gutter - 60, colors.faint);
  pen.textAlign = "right";
  text(pen, label, gutter - 6, top + 2, 54, colors.faint);
  text(pen, "0", gutter - 6, top + tall, 54, colors.faint);
  pen.textAlign = "left";
  pen.strokeStyle = colors.grid;
  for (const at of [0, most]) {
    pen.beginPath();
    pen.moveTo(gutter, Math.round(y(at)) + 0.5);
    pen.lineTo(width, Math.round(y(at)) + 0.5);
    pen.stroke();
  }
  lines.forEach(({ name, color, steps }, index) => {
    text(pen, name, 8, top + 16 + 13 * index, gutter - 62, colors.faint);
    pen.fillStyle = pen.strokeStyle = colors[color];
    pen.fillRect(0, top + 13 + 13 * index, 6, 6);
    pen.lineWidth = 1.5;
    pen.beginPath();
    let drawn = false;
    for (const [at, [start, bytes]] of steps.entries()) {
      const end = at + 1 < steps.length ? steps[at + 1][0] : view.end;
      if (end < view.start || start > view.end) continue;
      const [left, right] = [Math.max(gutter, x(start)), Math.min(width, x(end))];
      if (drawn) pen.lineTo(left, y(bytes)); else pen.moveTo(left, y(bytes));
      pen.lineTo(right, y(bytes));
      drawn = true;
    }
    pen.stroke();
    pen.lineWidth = 1;
  });
}

function text(pen, words, x, y, room, color) {
  if (room < 12) return;
  pen.fillStyle = color;
  let shown = words;
  // Names are short, so a few steps do; two letters and the mark are the least.
  while (shown.length > 3 && pen.measureText(shown).width > room) shown = `${shown.slice(0, Math.max(2, Math.floor(shown.length * 0.9) - 1))}…`;
  pen.fillText(shown, x, y);
}

// From the waker's lane to the waiter's, at the moment of the waking.
function arrow(pen, wait, { x, colors, width, gutter }, y, alpha) {
  const [from, to, at] = [y(wait.wakerLane), y(wait.lane), x(wait.end)];
  if (from === null || to === null || at < gutter || at > width) return;
  const way = Math.sign(to - from);
  pen.globalAlpha = alpha;
  pen.strokeStyle = pen.fillStyle = colors.ink;
  pen.beginPath();
  pen.moveTo(at, from);
  pen.lineTo(at, to - way * 5);
  pen.stroke();
  pen.beginPath();
  pen.moveTo(at, to - way * 2);
  pen.lineTo(at - 4, to - way * 9);
  pen.lineTo(at + 4, to - way * 9);
  pen.fill();
  pen.globalAlpha = 1;
}

function outline(pen, wait, { x, colors, width, gutter }, y) {
  const middle = y(wait.lane);
  if (middle === null) return;
  const left = Math.max(gutter + 1, x(wait.start));
  const right = Math.min(width - 1, x(wait.end));
  if (right < gutter) return;
  pen.strokeStyle = colors.ink;
  pen.lineWidth = 2;
  pen.strokeRect(left, middle - ROW / 2 + 1, Math.max(2, right - left), ROW - 2);
  pen.lineWidth = 1;
}

function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least);
}

function tickLabel(tick, step) {
  if (tick === 0) return "0";
  const [size, unit] = step >= 1e5 ? [1e6, "s"] : step >= 100 ? [1e3, "ms"] : [1, "µs"];
  const digits = Math.max(0, Math.ceil(Math.log10(size / step) - 1e-9));
  return `${tick < 0 ? "−" : "+"}${(Math.abs(tick) / size).toFixed(digits)} ${unit}`;
}
