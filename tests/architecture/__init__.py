"""Tests that keep the shape of the source: layers, cycles, lazy imports, sizes, names."""
