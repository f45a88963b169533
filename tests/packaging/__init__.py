"""Tests of what a newcomer and an operator touch: Makefile, README, container files."""
