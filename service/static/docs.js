"use strict";

const place = document.getElementById("swagger");
SwaggerUIBundle({
  domNode: place,
  url: place.dataset.document,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // asks nobody else
});
