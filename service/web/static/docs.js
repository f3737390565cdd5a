"use strict";

const place = document.getElementById("swagger");
SwaggerUIBundle({
  domNode: place,
  // The full address, because the page's own may contain a user name and key, which fetch rejects.
  url: location.origin + place.dataset.document,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // do not send the document to Swagger's public validator
});
