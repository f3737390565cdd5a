// The form works without this. With it: drop or paste a picture anywhere, see which one it is,
// and send it at once.
"use strict";

for (const form of document.querySelectorAll("[data-upload]")) {
  const input = form.querySelector("input[type=file]");
  const hint = form.querySelector("[data-hint]");

  const send = (files) => {
    if (!files || files.length === 0) return;
    input.files = files;
    hint.textContent = "Looking for what is like " + files[0].name + " …";
    form.classList.add("busy");
    form.requestSubmit();
  };

  input.addEventListener("change", () => send(input.files));
  if (form !== document.querySelector("[data-upload]")) continue;

  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) form.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    send(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => send(event.clipboardData.files));
}

// Coming back with the browser's button must not find a form that still says "looking".
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-upload].busy")) {
    form.classList.remove("busy");
    form.reset();
  }
});
