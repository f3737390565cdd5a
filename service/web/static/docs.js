"use strict";

const place = document.getElementById("swagger");
SwaggerUIBundle({
  domNode: place,
  // In full: the page's own address may hold a name and key, which no request may.
  url: location.origin + place.dataset.document,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // asks nobody else
});
