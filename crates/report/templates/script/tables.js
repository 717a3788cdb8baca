// Tables to sort by a click or Enter on a column's head, and to filter by text.

// What a cell shows as a number: `8.79 s`, `−105 ms`, `1,204`, `3.36 GB`; null for a text.
function figureOf(words) {
  const found = words.trim().match(/^([≥<+−-]?) ?([0-9][0-9,.]*) ?(ns|µs|ms|s|%|bytes|kB|MB|GB|TB)?$/);
  if (!found) return words.trim() === "none" ? 0 : null;
  const sizes = { ns: 1e-9, "µs": 1e-6, ms: 1e-3, s: 1, "%": 1, bytes: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 };
  const value = Number(found[2].replaceAll(",", "")) * (sizes[found[3]] || 1);
  return found[1] === "−" || found[1] === "-" ? -value : value;
}

function compareCells(left, right) {
  const [a, b] = [figureOf(left), figureOf(right)];
  if (a !== null && b !== null) return a - b;
  if (a !== null || b !== null) return a === null ? -1 : 1;
  return left.localeCompare(right, "en", { numeric: true });
}

const rowsOf = (body) => [...body.rows].filter((row) => !row.classList.contains("group"));

function sortBy(table, head, column) {
  const numbers = head.classList.contains("n");
  const before = head.getAttribute("aria-sort");
  // Figures begin with the largest, names with the first letter.
  const down = before ? before === "ascending" : numbers;
  const order = down ? -1 : 1;
  const text = (row) => row.cells[column].innerText;
  // Groups stay together, each below its heading.
  for (const body of table.tBodies) {
    body.append(...rowsOf(body).sort((a, b) => order * compareCells(text(a), text(b))));
  }
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
}

function filterBox(table, label) {
  const box = element("form", "tools");
  const [caption, input, count] = [element("label", "", "Filter "), element("input"), element("span", "note")];
  input.type = "search";
  input.autocomplete = "off";
  input.setAttribute("aria-label", `Filter: ${label}`);
  count.setAttribute("role", "status");
  caption.append(input);
  box.append(caption, count);
  box.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    let shown = 0;
    const rows = [...table.tBodies].flatMap(rowsOf);
    for (const row of rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = wanted === "" ? "" : `${shown} of ${rows.length} rows`;
  });
  return box;
}

function startTables() {
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (head.classList.contains("b")) return;
      const button = element("button", "sort", head.textContent);
      button.type = "button";
      button.addEventListener("click", () => sortBy(table, head, column));
      head.replaceChildren(button);
    });
    const place = table.closest(".scroll");
    if ([...table.tBodies].flatMap(rowsOf).length > 5) place.before(filterBox(table, place.getAttribute("aria-label")));
  }
}
