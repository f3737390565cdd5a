"""The JSON API: routes, request and response schemas, and their OpenAPI description."""
