// The flame graphs: zoom by click or key, search by text, the freeze or all of the capture.

function makeFlame(flame, status) {
  const number = (box, key) => Number(box.style.getPropertyValue(key));
  const frames = [...flame.children].map((box) => ({
    box, name: box.textContent || box.title.slice(0, box.title.lastIndexOf(": ")), left: number(box, "--l"), width: number(box, "--w"), depth: number(box, "--d"),
    shown: number(box, "--w"), gone: false, tiny: null,
  }));
  const byBox = new Map(frames.map((frame) => [frame.box, frame]));
  const whole = flame.dataset.whole;
  let wanted = "";
  const slack = 1e-4;
  let current = frames[0];

  const holds = (outer, inner) => outer.left <= inner.left + slack
    && outer.left + outer.width >= inner.left + inner.width - slack;

  function zoom(to) {
    // Asked before anything changes, or the page is laid out twice.
    const room = flame.clientWidth;
    for (const frame of frames) {
      const above = frame.depth < to.depth && holds(frame, to);
      const inside = frame.depth >= to.depth && holds(to, frame);
      const gone = !above && !inside;
      if (gone !== frame.gone) frame.box.classList.toggle("gone", gone);
      frame.gone = gone;
      if (gone) continue;
      frame.shown = above ? 100 : frame.width / to.width * 100;
      frame.box.classList.toggle("above", above);
      frame.box.style.setProperty("--l", above ? 0 : (frame.left - to.left) / to.width * 100);
      frame.box.style.setProperty("--w", frame.shown);
    }
    hideTinyNames(room);
  }

  // Boxes that are narrow at first come without a text, to keep the page small.
  function hideTinyNames(room) {
    for (const frame of frames) {
      const tiny = frame.shown / 100 * room < 24;
      if (frame.gone || tiny === frame.tiny) continue;
      frame.tiny = tiny;
      frame.box.classList.toggle("tiny", tiny);
      if (!tiny && frame.box.textContent === "") frame.box.textContent = frame.name;
    }
  }

  function find(text) {
    wanted = text.trim().toLowerCase();
    let [count, share, end] = [0, 0, -1];
    for (const frame of frames) {
      const hit = wanted !== "" && frame.name.toLowerCase().includes(wanted);
      frame.box.classList.toggle("hit", hit);
      if (!hit) continue;
      count += 1;
      // Frames come caller first, so what lies before the last hit's end is counted already.
      if (frame.left >= end - slack) { share += frame.width; end = frame.left + frame.width; }
    }
    status.textContent = wanted === "" ? whole : `${count} frames match, with ${share.toFixed(1)} % of the time.`;
  }

  function select(frame) {
    current.box.tabIndex = -1;
    current = frame;
    current.box.tabIndex = 0;
    current.box.focus();
  }

  function neighbour(key) {
    const shown = frames.filter((frame) => !frame.box.classList.contains("gone"));
    const level = (depth) => shown.filter((frame) => frame.depth === depth);
    if (key === "ArrowUp") return level(current.depth - 1).find((frame) => holds(frame, current));
    if (key === "ArrowDown") return level(current.depth + 1).find((frame) => holds(current, frame));
    const row = level(current.depth);
    return row[row.indexOf(current) + (key === "ArrowRight" ? 1 : -1)];
  }

  flame.addEventListener("click", (event) => {
    const frame = byBox.get(event.target);
    if (frame) { select(frame); zoom(frame); }
  });
  flame.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") zoom(current);
    else if (event.key === "Escape") zoom(frames[0]);
    else if (event.key.startsWith("Arrow")) { const next = neighbour(event.key); if (next) select(next); }
    else return;
    event.preventDefault();
  });
  const tell = (event) => { if (byBox.has(event.target)) status.textContent = event.target.title; };
  flame.addEventListener("mouseover", tell);
  flame.addEventListener("focusin", tell);
  flame.addEventListener("mouseleave", () => find(wanted));
  addEventListener("resize", () => hideTinyNames(flame.clientWidth));
  for (const { box } of frames) box.tabIndex = -1;
  current.box.tabIndex = 0;
  return { find, reset: () => zoom(frames[0]), show: (on) => { flame.hidden = !on; if (on) hideTinyNames(flame.clientWidth); } };
}

function startFlames() {
  const tools = document.getElementById("flame-tools");
  if (!tools) return;
  const status = document.getElementById("flame-status");
  const boxes = [...document.querySelectorAll(".flame")];
  const flames = boxes.map((box) => makeFlame(box, status));
  const [search, reset, compare] = [tools.querySelector("[type=search]"), tools.querySelector("[type=button]"), tools.querySelector("[type=checkbox]")];
  let shown = flames[0];
  search.addEventListener("input", () => shown.find(search.value));
  reset.addEventListener("click", () => shown.reset());
  for (const choice of tools.querySelectorAll("[type=radio]")) {
    choice.addEventListener("change", () => {
      shown = flames[Number(choice.value)];
      for (const flame of flames) flame.show(flame === shown);
      shown.find(search.value);
    });
  }
  if (compare) compare.addEventListener("change", () => document.getElementById("flame").classList.toggle("compared", compare.checked));
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.hidden = false;
  // Without the script each graph stands under its name.
  for (const name of document.querySelectorAll("#flame > h3, #flame > .flame + .note")) name.hidden = true;
  for (const flame of flames) flame.show(flame === shown);
  shown.find("");
}
