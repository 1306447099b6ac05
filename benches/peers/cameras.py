"""The same pictures through the same model in Python: OpenCV decodes and scales, ONNX Runtime infers, NumPy finds the boxes.

usage: cameras.py MODEL WIDTH HEIGHT SCORE NMS; then for every line on standard input, which names a folder of JPEGs, prints the
seconds that went by, the seconds of processor time, and the number of objects in all its pictures. Needs `opencv-python-headless`
and `onnxruntime`. One process, one thread, as the vision thread has.
"""

import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


def cells(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of every cell of the three grids, and its stride."""
    places, strides = [], []
    for stride in (8, 16, 32):
        rows, columns = np.mgrid[: height // stride, : width // stride]
        places.append(np.stack((columns.ravel(), rows.ravel()), 1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(places), np.concatenate(strides)


def main() -> None:
    model, width, height, score, nms = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
    cv2.setNumThreads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    places, strides = cells(width, height)

    def objects(jpeg: bytes) -> int:
        frame = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        scale = min(width / frame.shape[1], height / frame.shape[0])
        size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
        canvas = np.full((height, width, 3), 114, np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)
        rows = session.run(None, {name: canvas.transpose(2, 0, 1)[None].astype(np.float32)})[0][0]
        scores = rows[:, 4:5] * rows[:, 5:]
        label = scores.argmax(1)
        best = scores[np.arange(len(rows)), label]
        kept = best >= score
        centres = (rows[kept, :2] + places[kept]) * strides[kept]
        sides = np.exp(rows[kept, 2:4]) * strides[kept]
        boxes = np.concatenate((centres - sides / 2, sides), 1) / scale
        return len(cv2.dnn.NMSBoxesBatched(boxes.tolist(), best[kept].tolist(), label[kept].tolist(), score, nms))

    print("ready", flush=True)
    for line in sys.stdin:
        pictures = [path.read_bytes() for path in sorted(Path(line.strip()).glob("*.jpg"))]
        began, worked = time.perf_counter(), time.process_time()
        found = sum(objects(jpeg) for jpeg in pictures)
        print(time.perf_counter() - began, time.process_time() - worked, found, flush=True)


if __name__ == "__main__":
    main()
