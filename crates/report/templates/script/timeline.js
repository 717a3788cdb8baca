// The timeline to zoom and pan: by mouse, finger and keyboard. Without it the page shows the same as a picture.

function startTimeline() {
  const section = document.getElementById("timeline");
  const packed = dataOf("timeline-data");
  if (!packed) return;
  const data = unpack(packed);
  const [frame, tools, status, detail] = ["lanes", "lane-tools", "lane-status", "wait-detail"].map((id) => document.getElementById(id));
  const canvas = frame.querySelector("canvas");
  const spacer = frame.querySelector("div");
  const filter = tools.querySelector("input[type=search]");
  const arrows = tools.querySelector("input[type=checkbox]");
  const pen = canvas.getContext("2d");
  const view = { start: data.view[0], end: data.view[1] };
  const state = { width: 0, height: 0, scroll: 0, lane: null, wait: null, arrows: false };
  const names = ["paper", "ink", "faint", "line", "strong", "lane", "grid", "freeze", "edge", "op", "onop", "event", ...data.kinds.map(([kind]) => kind.slice(2))];
  let [layout, colors, asked] = [layOut(data, () => true), paletteOf(names), false];

  function measure() {
    const most = Math.max(240, Math.min(innerHeight * 0.7, 620));
    const full = headHeight(data) + layout.height + 4;
    state.height = Math.min(most, full);
    frame.style.height = `${state.height}px`;
    state.width = frame.clientWidth;
    spacer.style.height = `${full - state.height}px`;
    const density = devicePixelRatio || 1;
    canvas.width = Math.round(state.width * density);
    canvas.height = Math.round(state.height * density);
    canvas.style.height = `${state.height}px`;
    pen.setTransform(density, 0, 0, density, 0, 0);
  }

  function paint() {
    asked = false;
    state.scroll = frame.scrollTop;
    const seen = draw(pen, data, view, layout, colors, state);
    // What has been seen once stays, so that the page does not jump while the view moves.
    for (const item of section.querySelectorAll(".legend li[hidden]")) item.hidden = !seen.has(item.querySelector("rect").getAttribute("class"));
  }

  function refresh() {
    if (!asked) { asked = true; requestAnimationFrame(paint); }
  }

  function setView(start, end) {
    const length = clamp(end - start, 5, data.whole);
    view.start = clamp(start, 0, data.whole - length);
    view.end = view.start + length;
    section.dataset.view = `${view.start} ${view.end}`;
    refresh();
  }

  function zoom(factor, around = (view.start + view.end) / 2) {
    setView(around - (around - view.start) * factor, around + (view.end - around) * factor);
  }

  const plot = () => state.width - gutterOf(state.width);
  const pan = (part) => setView(view.start + part * (view.end - view.start), view.end + part * (view.end - view.start));
  const timeAt = (x) => view.start + (x - gutterOf(state.width)) / plot() * (view.end - view.start);
  const laneAt = (y) => {
    const inside = y - headHeight(data) + frame.scrollTop;
    const row = y < headHeight(data) ? null : layout.rows.find((row) => inside >= row.top && inside < row.top + row.height);
    return row && row.lane ? row.lane : null;
  };

  function tell(lane, time, slack) {
    const at = blockAt(lane, time, slack);
    if (at < 0) return `${lane.name}: not known`;
    const what = lane.sites[at] >= 0 ? data.texts[lane.sites[at]] : data.kinds[lane.kinds[at]][1];
    return `${lane.name}: ${what}, ${duration(lane.ends[at] - lane.starts[at])}, from ${moment(lane.starts[at], data.zero)}`;
  }

  function select(wait, keepView) {
    state.wait = wait;
    state.lane = wait ? data.lanes[wait.lane] : state.lane;
    if (!wait) { detail.hidden = true; refresh(); return; }
    showWait(data, wait, detail);
    status.textContent = `${state.lane.name}: ${wait.site}, ${duration(wait.end - wait.start)}; ${wait.how}. Its stacks stand below.`;
    const length = wait.end - wait.start;
    const seen = wait.end > view.start && wait.start < view.end && length > (view.end - view.start) / 200;
    if (!keepView && !seen) setView(wait.start - length, wait.end + length);
    reveal(state.lane);
    refresh();
  }

  function reveal(lane) {
    const row = lane && layout.rowOf.get(lane.index);
    if (!row) return;
    const room = state.height - headHeight(data);
    if (row.top < frame.scrollTop) frame.scrollTop = row.top - HEADING;
    else if (row.top + ROW > frame.scrollTop + room) frame.scrollTop = row.top + ROW - room;
  }

  function find(words) {
    const wanted = words.trim().toLowerCase();
    const has = (lane) => lane.name.toLowerCase().includes(wanted) || data.groups[lane.group].toLowerCase().includes(wanted)
      || lane.waits.some((wait) => wait.site.toLowerCase().includes(wanted));
    layout = layOut(data, wanted === "" ? () => true : has);
    measure();
    paint();
    const count = layout.rowOf.size;
    status.textContent = wanted === "" ? "" : `${count} of ${data.lanes.length} threads match.`;
  }

  // By keyboard: lanes up and down, waits left and right.
  function nextLane(step) {
    const lanes = layout.rows.filter((row) => row.lane).map((row) => row.lane);
    if (!lanes.length) return;
    state.lane = lanes[clamp(lanes.indexOf(state.lane) + step, 0, lanes.length - 1)];
    reveal(state.lane);
    status.textContent = tell(state.lane, (view.start + view.end) / 2, 0);
    refresh();
  }

  function nextWait(step) {
    if (!state.lane) { nextLane(1); return; }
    const waits = state.lane.waits;
    const from = state.wait && state.wait.lane === state.lane.index ? state.wait.start : (step > 0 ? view.start - 1 : view.end);
    const next = step > 0 ? waits.find((wait) => wait.start > from) : waits.findLast((wait) => wait.start < from);
    if (next) select(next);
    else status.textContent = `${state.lane.name}: no further wait to look into.`;
  }

  const whole = () => setView(0, data.whole);
  const freeze = () => setView(...data.view);
  const keys = {
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), "0": whole, Home: freeze,
    ArrowUp: () => nextLane(-1), ArrowDown: () => nextLane(1), ArrowLeft: () => nextWait(-1), ArrowRight: () => nextWait(1),
    PageUp: () => pan(-0.5), PageDown: () => pan(0.5),
    a: () => { arrows.checked = !arrows.checked; state.arrows = arrows.checked; refresh(); },
    Enter: () => {
      const middle = (view.start + view.end) / 2;
      const wait = state.wait || (state.lane && (waitAt(state.lane, middle, 0) || state.lane.waits.find((wait) => wait.end > view.start)));
      if (wait) { select(wait); detail.focus(); }
    },
    Escape: () => select(null),
  };
  frame.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && event.key.startsWith("Arrow")) pan({ ArrowLeft: -0.2, ArrowRight: 0.2 }[event.key] || 0);
    else act();
    event.preventDefault();
  });

  // Fingers and the mouse: one drags, two pinch.
  const pointers = new Map();
  let dragged = 0;
  const place = (event) => { const box = canvas.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top }; };
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
    dragged = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event);
    const before = pointers.get(event.pointerId);
    const scale = (view.end - view.start) / plot();
    if (!before) {
      const lane = laneAt(now.y);
      if (lane && now.x > gutterOf(state.width)) status.textContent = tell(lane, timeAt(now.x), scale * 2);
      return;
    }
    const other = [...pointers].find(([id]) => id !== event.pointerId);
    pointers.set(event.pointerId, now);
    dragged += Math.abs(now.x - before.x);
    if (other) {
      const apart = (point) => Math.max(20, Math.abs(point.x - other[1].x));
      zoom(apart(before) / apart(now), timeAt((now.x + other[1].x) / 2));
    } else setView(view.start - (now.x - before.x) * scale, view.end - (now.x - before.x) * scale);
  });
  const lift = (event) => pointers.delete(event.pointerId);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerup", (event) => {
    lift(event);
    if (dragged > 4) return;
    const { x, y } = place(event);
    const lane = laneAt(y);
    if (!lane) return;
    state.lane = lane;
    const slack = 3 * (view.end - view.start) / plot();
    const wait = x > gutterOf(state.width) && waitAt(lane, timeAt(x), slack);
    if (wait) select(wait, true);
    else { status.textContent = tell(lane, timeAt(x), slack); refresh(); }
  });
  canvas.addEventListener("dblclick", (event) => zoom(0.4, timeAt(place(event).x)));
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) zoom(1.002 ** event.deltaY, timeAt(place(event).x));
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) pan((event.deltaX || event.deltaY) / state.width);
    else return;
    event.preventDefault();
  }, { passive: false });

  const buttons = { in: () => zoom(0.5), out: () => zoom(2), left: () => pan(-0.3), right: () => pan(0.3), freeze, whole };
  for (const button of tools.querySelectorAll("button")) button.addEventListener("click", buttons[button.name]);
  filter.addEventListener("input", () => find(filter.value));
  arrows.addEventListener("change", () => { state.arrows = arrows.checked; refresh(); });
  tools.addEventListener("submit", (event) => event.preventDefault());
  frame.addEventListener("scroll", refresh);
  addEventListener("resize", () => { measure(); paint(); });
  onThemeChange(() => { colors = paletteOf(names); refresh(); });
  for (const button of document.querySelectorAll("[data-wait]")) {
    button.disabled = false;
    button.addEventListener("click", () => { select(data.waits[button.dataset.wait]); detail.focus(); });
  }
  for (const link of document.querySelectorAll("[data-moment]")) {
    link.addEventListener("click", () => setView(...link.dataset.moment.split(" ").map(Number)));
  }
  section.classList.add("live");
  for (const part of [frame, tools]) part.hidden = false;
  measure();
  setView(view.start, view.end);
  return { zoomTo: setView };
}
