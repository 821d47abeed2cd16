"""Tests of the watch on Falco."""
