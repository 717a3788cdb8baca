// What the other parts share: elements, times in words, colours of the style sheet.

function element(name, classes, text) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  return made;
}

function dataOf(id) {
  const holder = document.getElementById(id);
  return holder ? JSON.parse(holder.textContent) : null;
}

// Three figures, as everywhere in the report.
function duration(micros) {
  const units = [[1e6, "s"], [1e3, "ms"], [1, "µs"]];
  const [size, unit] = units.find(([size]) => micros >= size * 0.9995) || units[2];
  const value = micros / size;
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${unit}`;
}

function moment(micros, zero) {
  const from = micros - zero;
  return from === 0 ? "0" : (from < 0 ? "−" : "+") + duration(Math.abs(from));
}

const clamp = (value, least, most) => Math.max(least, Math.min(most, value));

// A canvas has no classes, so it asks the page what they look like; light and dark differ.
function paletteOf(names) {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function onThemeChange(act) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", act);
}
