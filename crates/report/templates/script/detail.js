// One wait in full: who waited where, who woke it, and both stacks side by side.

function stackList(data, number, side) {
  const list = element("ol", `stack ${side}`);
  const frames = number === null ? [] : data.stacks[number][side === "user" ? 0 : 1];
  // The innermost first: what it stands in is what is asked here, and stacks are long.
  for (const [name, place] of frames.map((frame) => data.frames[frame]).reverse()) {
    const row = element("li");
    row.append(element("code", "", name));
    if (place && side === "user") row.append(element("small", "", place));
    list.append(row);
  }
  return frames.length ? list : null;
}

function half(data, title, note, number) {
  const part = element("div");
  part.append(element("h4", "", title), element("p", "note", note));
  const lists = ["kernel", "user"].map((side) => stackList(data, number, side)).filter(Boolean);
  if (lists.length) part.append(...lists);
  else part.append(element("p", "note", "No stack of it is in the capture."));
  return part;
}

function showWait(data, wait, place) {
  const clock = (micros) => `${(data.start + micros / 1e6).toFixed(6)} s`;
  const lane = data.lanes[wait.lane];
  place.replaceChildren(
    element("h3", "", `${lane.name}: ${wait.site}, ${duration(wait.end - wait.start)}`),
    element("p", "note", data.events.every(Boolean) && !wait.ready ? `Events: ${data.events[0]} of ${lane.name} at its start, ${data.events[1]} of ${wait.waker || "an interrupt"} at its end.` : ""),
    element("p", "", `From ${clock(wait.start)} to ${clock(wait.end)} on the capture's clock (${moment(wait.start, data.zero)} to ${moment(wait.end, data.zero)}); ${wait.how}.`),
  );
  const stacks = element("div", "stacks");
  // Who is ready was woken before, and whoever leaves a CPU wakes nobody.
  stacks.append(half(data, `${lane.name} waited`, `Its stack when it ${wait.ready ? "was taken off" : "left"} its CPU, innermost first`, wait.stack));
  if (!wait.ready) stacks.append(
    half(data, wait.waker ? `${wait.waker} woke it` : "Who woke it is not known", "The waker's stack at that moment, innermost first", wait.wakerStack),
  );
  place.append(stacks);
  place.hidden = false;
}
