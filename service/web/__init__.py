"""The web pages: views, forms, drawings, templates and static files."""
