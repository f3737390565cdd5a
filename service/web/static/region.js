// The form works without this script. With it, you can draw a box on the picture instead of typing.
"use strict";

const details = document.querySelector("[data-region]");
const frame = document.querySelector(".query .frame");

if (details && frame) {
  const image = frame.querySelector("img");
  const inputs = ["left", "right", "top", "bottom"].map((name) => details.querySelector(`[name=${name}]`));
  const cut = document.createElement("div");
  cut.className = "cut";
  details.querySelector("[data-region-hint]").hidden = false;

  // The picture keeps its proportions inside the square frame.
  const shown = () => {
    const scale = Math.min(frame.clientWidth / image.naturalWidth, frame.clientHeight / image.naturalHeight);
    const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
    return { x: (frame.clientWidth - width) / 2, y: (frame.clientHeight - height) / 2, width, height };
  };
  const draw = () => {
    const [left, right, top, bottom] = inputs.map((input) => input.value / 100);
    const box = shown();
    cut.style.left = box.x + left * box.width + "px";
    cut.style.top = box.y + top * box.height + "px";
    cut.style.width = Math.max(0, right - left) * box.width + "px";
    cut.style.height = Math.max(0, bottom - top) * box.height + "px";
  };
  const at = (event) => {
    const [box, outer] = [shown(), frame.getBoundingClientRect()];
    const share = (value) => Math.min(100, Math.max(0, 100 * value));
    return [share((event.clientX - outer.left - box.x) / box.width), share((event.clientY - outer.top - box.y) / box.height)];
  };

  let start = null;
  frame.addEventListener("pointerdown", (event) => {
    if (!details.open) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    start = at(event);
  });
  frame.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const end = at(event);
    const edges = [start[0], end[0], start[1], end[1]];
    if (edges[0] > edges[1]) edges.splice(0, 2, edges[1], edges[0]);
    if (edges[2] > edges[3]) edges.splice(2, 2, edges[3], edges[2]);
    edges.forEach((edge, i) => { inputs[i].value = edge.toFixed(1); });
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => { start = null; });

  for (const input of inputs) input.addEventListener("input", draw);
  window.addEventListener("resize", draw);
  details.addEventListener("toggle", () => {
    frame.classList.toggle("cutting", details.open);
    if (details.open) { frame.append(cut); draw(); } else cut.remove();
  });
}
