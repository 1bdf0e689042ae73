"""The graph of a net, to be looked through and rewritten."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np


class NetGraph:
    """A graph, with who makes and who takes each tensor."""

    def __init__(self, graph: Any) -> None:
        self.proto = graph
        self.weights = {t.name: t for t in graph.initializer}
        self.makers = {o: n for n in graph.node for o in n.output}
        self.takers = Counter(i for n in graph.node for i in n.input)
        self.takers.update(o.name for o in graph.output)
        images = [i.name for i in graph.input if i.name not in self.weights]
        self.image = images[0] if len(images) == 1 else None
        # what a branch or loop takes from outside is not listed among its inputs
        self.plain = not any(a.HasField("g") for n in graph.node for a in n.attribute)

    def maker(self, name: str, op: str) -> Any:
        """Return the node that makes a tensor if it is that operator's alone."""
        node = self.makers.get(name)
        if not self.plain or node is None or node.op_type != op or node.domain:
            return None
        return node if self.takers[name] == 1 else None

    def array(self, name: str) -> np.ndarray[Any, Any] | None:
        """Return a constant, None if the tensor is none."""
        from onnx import numpy_helper

        if name in self.weights:
            return numpy_helper.to_array(self.weights[name])
        node = self.makers.get(name)
        if node is None or node.op_type != "Constant":
            return None
        value = attributes(node).get("value")
        return None if value is None else numpy_helper.to_array(value)

    def tidy(self) -> None:
        """Put the nodes in the order of the data and drop weights that nobody takes."""
        known = {i.name for i in self.proto.input} | set(self.weights) | {""}
        waiting, ordered = list(self.proto.node), []
        while waiting:
            later = []
            for node in waiting:
                if known.issuperset(node.input):
                    ordered.append(node)
                    known.update(node.output)
                else:
                    later.append(node)
            if len(later) == len(waiting):  # takes from outside: keep its order
                ordered += later
                break
            waiting = later
        del self.proto.node[:]
        self.proto.node.extend(ordered)
        taken = {i for n in self.proto.node for i in n.input}
        kept = [t for t in self.proto.initializer if t.name in taken]
        inputs = [
            i for i in self.proto.input if i.name in taken or i.name not in self.weights
        ]
        for field, values in (("initializer", kept), ("input", inputs)):
            del getattr(self.proto, field)[:]
            getattr(self.proto, field).extend(values)
        # shapes that were written down belong to the tensors as they were
        del self.proto.value_info[:]


def attributes(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}
