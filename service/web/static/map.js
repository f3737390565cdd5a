// The map works without this script: its dots are links. With it, pointing at a dot shows its picture.
"use strict";

const map = document.querySelector("[data-map]");
const preview = document.querySelector("[data-preview]");

if (map && preview) {
  const image = preview.querySelector("img");
  const name = preview.querySelector("span");
  const figure = map.closest("figure");

  const show = (event) => {
    const dot = event.target.closest("a");
    if (dot === null) return;
    const [outer, place] = [figure.getBoundingClientRect(), dot.getBoundingClientRect()];
    const x = place.left + place.width / 2 - outer.left;
    image.hidden = !dot.dataset.picture;
    if (dot.dataset.picture) image.src = dot.dataset.picture;
    name.textContent = dot.querySelector("title").textContent;
    preview.hidden = false;
    preview.style.left = Math.min(Math.max(0, x - preview.offsetWidth / 2), outer.width - preview.offsetWidth) + "px";
    const above = place.top - outer.top - preview.offsetHeight - 8;
    preview.style.top = (above > 0 ? above : place.bottom - outer.top + 8) + "px";
  };
  const hide = () => { preview.hidden = true; };

  map.addEventListener("pointerover", show);
  map.addEventListener("focusin", show);
  map.addEventListener("pointerout", hide);
  map.addEventListener("focusout", hide);
}
