"""Graphs that are almost another."""

from __future__ import annotations

from dataclasses import replace

from converters.graph.graph import INPUT, Graph


def renamed(graph: Graph) -> Graph:
    """The same graph, by other names."""
    names = {INPUT: INPUT} | {node.name: f"my_{node.name}" for node in graph.nodes}
    return Graph(
        graph.input_shape,
        tuple(
            replace(node, name=names[node.name], inputs=tuple(names[name] for name in node.inputs))
            for node in graph.nodes
        ),
    )
