"""Mutation tests of the pure parts: each mutant is one small change that some unit test should notice."""
