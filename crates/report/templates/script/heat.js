// A click on the heat map leads to that moment in the timeline.

function startHeat(timeline) {
  const map = document.querySelector("[data-grid]");
  if (!map || !timeline) return;
  const picture = map.querySelector("svg");
  const [left, bottom, wide, tall, rows, micros] = map.dataset.grid.split(" ").map(Number);
  map.classList.add("pointed");
  picture.addEventListener("click", (event) => {
    const scale = picture.viewBox.baseVal.width / picture.clientWidth;
    const box = picture.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) * scale - left) / wide);
    const row = Math.floor((bottom - (event.clientY - box.top) * scale) / tall);
    if (column < 0 || row < 0 || row >= rows) return;
    const time = (column * rows + row + 0.5) * micros;
    timeline.zoomTo(time - 10 * micros, time + 10 * micros);
    document.getElementById("timeline").scrollIntoView();
  });
}
