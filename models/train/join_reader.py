"""Joins the plate reader: what was trained here (`plate-lines.onnx`) before a general line reader (PP-OCR, Apache-2.0) that stays as its
authors trained it. Of its 18,710 characters those are kept that stand on plates, with their weights.

The same inputs give the same bytes, so the manifest's sha256 holds wherever it runs.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

WIDTH, HEIGHT = 320, 48  # what the line reader is given
LARGE = 1024  # weights of at least so many numbers are kept in half precision
ALPHABET = "0123456789ABCDEFGHKLMNPQRSTUVXYZ"


def cut(path: Path) -> onnx.ModelProto:
    """The line reader with the columns of the blank and of the plates' characters alone, its input named `line`."""
    model = onnx.load(str(path))
    graph = model.graph
    names = next(entry.value for entry in model.metadata_props if entry.key == "character").split("\n")
    columns = [0] + [names.index(char) + 1 for char in ALPHABET]
    weights = {tensor.name: tensor for tensor in graph.initializer}
    maker = {output: node for node in graph.node for output in node.output}
    node = maker[graph.output[0].name]
    node.output[0] = "characters"
    while True:  # back from the probabilities to the last product: its bias, then its matrix
        known = [name for name in node.input if name in weights]
        for name in known:
            array = np.ascontiguousarray(numpy_helper.to_array(weights[name])[..., columns])
            weights[name].CopyFrom(numpy_helper.from_array(array, name))
        if node.op_type == "MatMul":
            break
        node = maker[node.input[0]]
    for one in graph.node:
        one.input[:] = ["line" if name == graph.input[0].name else name for name in one.input]
    del graph.input[:], graph.output[:], graph.value_info[:], model.metadata_props[:]
    graph.input.append(helper.make_tensor_value_info("line", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH]))
    graph.output.append(helper.make_tensor_value_info("characters", TensorProto.FLOAT, [1, WIDTH // 8, len(columns)]))
    return onnx.version_converter.convert_version(model, 17)


def halve(model: onnx.ModelProto) -> None:
    """Keeps large weights in half precision; the runtime widens them once, when it loads the file."""
    casts = []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size >= LARGE:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), name + "_half"))
            casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    nodes = casts + list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def join(front: Path, general: Path, out: Path) -> None:
    first, second = onnx.load(str(front)), cut(general)
    first.ir_version = second.ir_version = 8
    model = compose.merge_models(first, second, io_map=[("line", "line")], outputs=["characters", "two_lines"])
    halve(model)
    ordered = sorted(model.graph.output, key=lambda output: output.name)
    del model.graph.output[:]
    model.graph.output.extend(ordered)
    model.doc_string = "plate reader; line reader: PP-OCR, Apache-2.0"
    onnx.checker.check_model(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{out}: {out.stat().st_size} bytes, sha256 {hashlib.sha256(out.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--front", type=Path, default=Path("models/plate-lines.onnx"))
    arguments.add_argument("--general", type=Path, required=True, help="PP-OCRv6_rec_small.onnx out of PyPI's rapidocr 3.10.0")
    arguments.add_argument("--out", type=Path, default=Path("vendor/plates/plate-reader.onnx"))
    options = arguments.parse_args()
    join(options.front, options.general, options.out)
