"""The pages: views, drawings, templates and static files."""
