"""One student folder, read by other programs and versions, each in an environment of its own."""
