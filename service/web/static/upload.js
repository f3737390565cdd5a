// The form works without this script. With it, you can drop or paste a picture anywhere on the page,
// and a chosen picture is sent at once.
"use strict";

for (const form of document.querySelectorAll("[data-upload]")) {
  const input = form.querySelector("input[type=file]");
  const hint = form.querySelector("[data-hint]");

  const send = (files) => {
    if (!files || files.length === 0) return;
    input.files = files;
    hint.textContent = "Finding look-alikes of " + files[0].name + " …";
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

// After the back button, the form must not say that a search is still running.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[data-upload].busy")) {
    form.classList.remove("busy");
    form.reset();
  }
});
