"""In which order Keras runs a model's layers, and in which it lists them: ``map_graph`` (keras/src/ops/function.py).

Both go by depth, the longest way to an output, the deepest first. Of equal depth those run first that are met first
when the layers are walked from the outputs on, in reverse post order, each with what it reads; listed first are those
that the walk towards the inputs comes to first. So the branches of a block run step by step side by side, whatever the
order they were written in: a 1 × 1 convolution beside a longer branch waits for the latter's last step.
"""

from __future__ import annotations

from cnncost.graph import Graph


class Turns:
    """Indices of layers. What no output needs comes last."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.finished: list[int] = []
        self.met: dict[int, int] = {}  # by the first call's index
        self._walk()
        self.depth: dict[int, int] = {}
        self._measure()

    def run(self) -> list[int]:
        order = sorted(self.depth, key=lambda index: -self.depth[index])
        return order + [index for index in range(len(self.graph.layers)) if index not in self.depth]

    def listed(self) -> list[int]:
        """The first calls alone, as ``model.layers`` has them."""
        deepest: dict[int, int] = {}
        for index, depth in self.depth.items():
            deepest[self._first(index)] = max(depth, deepest.get(self._first(index), 0))
        order = sorted(deepest, key=lambda index: (-deepest[index], self.met[index]))
        rest = (i for i, layer in enumerate(self.graph.layers) if layer.shares is None and i not in deepest)
        return order + list(rest)

    def _first(self, index: int) -> int:
        shares = self.graph.layers[index].shares
        return index if shares is None else shares

    def _walk(self) -> None:
        """From the outputs to what they read, depth first: layers as they are finished, inputs before readers."""
        stack = [(ref.layer, False) for ref in reversed(self.graph.outputs)]
        done: set[int] = set()
        while stack:
            index, finished = stack.pop()
            if finished:
                self.finished.append(index)
            elif index not in done:
                done.add(index)
                self.met.setdefault(self._first(index), len(self.met))
                stack.append((index, True))
                stack.extend((ref.layer, False) for ref in reversed(self.graph.layers[index].inputs))

    def _measure(self) -> None:
        """Depths, in the order in which layers are met first; all calls of a layer are at least as deep as those that
        were met before."""
        of_layer: dict[int, int] = {}
        for index in reversed(self.finished):
            first = self._first(index)
            depth = max(self.depth.setdefault(index, 0), of_layer.get(first, 0))
            self.depth[index] = of_layer[first] = depth
            for ref in self.graph.layers[index].inputs:
                self.depth[ref.layer] = max(depth + 1, self.depth.get(ref.layer, 0))
