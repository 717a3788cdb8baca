// The timeline's data, unpacked: see src/html/data.rs for how a lane is written.

function unpackLane(text) {
  const starts = [], ends = [], kinds = [], sites = [];
  let pen = 0;
  for (const [, gap, kind, length, site] of text.matchAll(/([0-9a-z]*)([A-I])([0-9a-z]+)(?:\.([0-9a-z]+))?;/g)) {
    const start = pen + parseInt(gap || "0", 36);
    pen = start + parseInt(length, 36);
    starts.push(start);
    ends.push(pen);
    kinds.push(kind.charCodeAt(0) - 65);
    sites.push(site === undefined ? -1 : parseInt(site, 36));
  }
  return { starts: Float64Array.from(starts), ends: Float64Array.from(ends), kinds, sites };
}

function unpack(data) {
  const waits = data.waits.map(([lane, start, end, site, stack, waker, wakerLane, wakerStack, how, ready], index) => (
    { index, lane, start, end, site: data.texts[site], stack, waker: data.texts[waker], wakerLane, wakerStack, how: data.texts[how], ready }
  ));
  const lanes = data.lanes.map(([name, group, blocks], index) => (
    { index, name, group, ...unpackLane(blocks), waits: waits.filter((wait) => wait.lane === index).sort((a, b) => a.start - b.start) }
  ));
  return { ...data, lanes, waits };
}

// The first block of a lane that ends after a moment.
function firstAfter(lane, time) {
  let [low, high] = [0, lane.ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lane.ends[middle] <= time) low = middle + 1; else high = middle;
  }
  return low;
}

function blockAt(lane, time, slack) {
  const at = firstAfter(lane, time - slack);
  return at < lane.starts.length && lane.starts[at] <= time + slack ? at : -1;
}

// Of the waits at a moment, the shortest: a long one is easily hit elsewhere.
function waitAt(lane, time, slack) {
  const there = lane.waits.filter((wait) => wait.start - slack <= time && time <= wait.end + slack);
  return there.sort((a, b) => (a.end - a.start) - (b.end - b.start))[0];
}
