"""What a browser may load for our pages: files of this server and nothing inline."""

POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
POLICY_OF_DOCS = f"{POLICY}; connect-src 'self'"  # the page that tries the API
