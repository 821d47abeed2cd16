"""Builds the container image. The Dockerfile copies this package and runs two of its scripts in the base image."""
