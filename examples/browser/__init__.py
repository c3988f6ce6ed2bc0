"""Search across languages in a web page, with a student that runs in the page."""
