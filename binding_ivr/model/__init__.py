"""The shapes that everybody passes on: rows, words, forms. It does no I/O."""
