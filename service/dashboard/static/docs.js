// The API's reference: this service's own OpenAPI document, read from this service and shown to nobody else.
window.ui = window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  syntaxHighlight: false,
  validatorUrl: null, // no other server is told of the document
  queryConfigEnabled: false, // no address in a link may change what is shown
  persistAuthorization: false,
});
