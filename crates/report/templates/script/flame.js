// The flame graphs: zoom by click or key, search by text, the freeze or all of the capture.

function makeFlame(flame, status) {
  const number = (box, key) => Number(box.style.getPropertyValue(key));
  const frames = [...flame.children].map((box) => ({
    box, name: box.textContent || box.title.slice(0, box.title.lastIndexOf(": ")), left: number(box, "--l"), width: number(box, "--w"), depth: number(box, "--d"),
    above: false, gone: false, tiny: null,
  }));
  // A zoom moves and widens this sheet: only the boxes above get a style of their own, which is what takes a browser its time.
  const sheet = element("span");
  sheet.setAttribute("role", "none");
  sheet.append(...flame.children);
  flame.append(sheet);
  const byBox = new Map(frames.map((frame) => [frame.box, frame]));
  const whole = flame.dataset.whole;
  let wanted = "";
  const slack = 1e-4;
  let [current, zoomed] = [frames[0], frames[0]];

  const holds = (outer, inner) => outer.left <= inner.left + slack
    && outer.left + outer.width >= inner.left + inner.width - slack;

  function place(frame, { left, width }) {
    frame.box.style.setProperty("--l", left);
    frame.box.style.setProperty("--w", width);
  }

  function zoom(to) {
    // Asked before anything changes, or the page is laid out twice.
    const room = flame.clientWidth;
    sheet.style.left = `${-to.left / to.width * 100}%`;
    sheet.style.width = `${100 / to.width * 100}%`;
    for (const frame of frames) {
      const above = frame.depth < to.depth && holds(frame, to);
      if (above || frame.above) {
        frame.box.classList.toggle("above", above);
        place(frame, above ? to : frame);
      }
      frame.above = above;
      frame.gone = !above && !(frame.depth >= to.depth && holds(to, frame));
    }
    zoomed = to;
    hideTinyNames(room);
  }

  // Boxes that are narrow at first come without a text, to keep the page small.
  function hideTinyNames(room) {
    for (const frame of frames) {
      if (frame.gone) continue;
      const tiny = (frame.above ? 1 : frame.width / zoomed.width) * room < 24;
      if (tiny === frame.tiny) continue;
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
    const shown = frames.filter((frame) => !frame.gone);
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
