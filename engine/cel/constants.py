"""Conditions that are always true or never true."""
