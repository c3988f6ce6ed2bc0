"""Things to try, each in a folder of its own."""
