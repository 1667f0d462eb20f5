#!/usr/bin/env python3
"""Holds the ONNX files that coinfer writes and reads to onnx.checker and ONNX Runtime.

Usage:
  check_onnx.py compare FOLDER    each FOLDER/*/model.onnx is valid, and gives what FOLDER/*/case.json says
  check_onnx.py collect FOLDER    puts the models that the packages onnx and onnxruntime carry for tests, and some like
                                  those that exporters write, into FOLDER/*/original.onnx
  check_onnx.py reread FOLDER     each FOLDER/*/rewritten.onnx gives what original.onnx beside it does

The tests in src/model/onnx/python_tests.rs call it, with a Python that has onnx and onnxruntime.
"""

import itertools
import json
import pathlib
import sys

import numpy as np
import onnx
import onnx.backend.test.case.node
import onnx.numpy_helper
import onnx.parser
import onnxruntime

TOLERANCE = 1e-4


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def difference(found, expected):
    """Largest difference over the largest number."""
    if found.size == 0:
        return 0.0
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    scale = max(float(np.nanmax(np.abs(np.where(np.isfinite(expected), expected, 0)))), 1e-30)
    return float(np.max(np.where(same, 0, np.abs(found - expected)))) / scale


def compare(folder):
    worst, count = 0.0, 0
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        description = json.loads((case / "case.json").read_text())
        model = onnx.load(case / "model.onnx")
        onnx.checker.check_model(model, full_check=True)
        maps = {
            kind: {
                entry["name"]: np.fromfile(case / entry["file"], np.float32).reshape(entry["shape"])
                for entry in description[kind]
            }
            for kind in ("inputs", "outputs")
        }
        runtime = session(case / "model.onnx")
        names = [output.name for output in runtime.get_outputs()]
        assert names == [entry["name"] for entry in description["outputs"]], (case, names)
        for name, found in zip(names, runtime.run(None, maps["inputs"])):
            expected = maps["outputs"][name]
            assert found.shape == expected.shape, (case, found.shape, expected.shape)
            off = difference(found, expected)
            worst, count = max(worst, off), count + 1
            if off > TOLERANCE:
                sys.exit(f"{description['name']}: output {name} differs by {off:.1e}")
    print(f"{count} outputs are valid and equal in ONNX Runtime {onnxruntime.__version__}, at most {worst:.1e} off")


def tensor(path):
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def serialized(value):
    return value if isinstance(value, bytes) else onnx.numpy_helper.from_array(np.asarray(value)).SerializeToString()


def bind(model, values):
    """Makes weights of all inputs but the first, with the values that the test data has for them."""
    names = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in names]
    for port, value in list(zip(inputs, values))[1:]:
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), port.name))
        model.graph.input.remove(port)


def models():
    """Names, models and inputs of the onnx package's tests: its files, and those that it makes of single operators."""
    root = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"
    for path in sorted((pathlib.Path(onnxruntime.__file__).parent / "datasets").glob("*.onnx")):
        yield f"onnxruntime/{path.stem}", path.read_bytes(), [], []
    for path in sorted(root.glob("*/*/model.onnx")) + sorted(root.glob("*/*.onnx")):
        name = str(path.relative_to(root).with_suffix("")).removesuffix("/model")
        values = []
        for index in itertools.count():
            data = path.parent / "test_data_set_0" / f"input_{index}.pb"
            if not data.exists():
                break
            try:
                values.append(tensor(data))
            except Exception:  # A sequence.
                break
        data = path.parent / "test_data_set_0" / "output_0.pb"
        yield name, path.read_bytes(), values, [data.read_bytes()] if data.exists() else []
    for case in onnx.backend.test.case.node.collect_testcases(None):
        values, outputs = case.data_sets[0] if case.data_sets else ([], [])
        if case.model is not None:
            yield f"node/{case.name}", case.model.SerializeToString(), values, outputs


# What exporters write, in onnx.parser's notation: the input, weights by shape, nodes. The output is `y`.
EXPORTS = {
    **{
        f"resize by {factor}, {coordinates}": (
            "float[N,3,5,4] x",
            {},
            f'scales = Constant <value_floats=[1.0, 1.0, {factor}.0, {factor}.0]> () '
            f'y = Resize <mode="nearest", coordinate_transformation_mode="{coordinates}", nearest_mode="{nearest}">'
            "(x, , scales)",
        )
        for factor in (2, 3, 4, 5)
        for coordinates, nearest in (("half_pixel", "round_prefer_floor"), ("asymmetric", "floor"))
    },
    "batch first LSTM with states of zero, last step": (
        "float[N,7,5] x",
        {"w": (1, 16, 5), "r": (1, 16, 4), "b": (1, 32)},
        "t = Transpose <perm=[1,0,2]> (x) shape = Shape (x) zero = Constant <value_ints=[0]> () "
        "n = Gather (shape, zero) one = Constant <value_ints=[1]> () four = Constant <value_ints=[4]> () "
        "dims = Concat <axis=0> (one, n, four) h = ConstantOfShape (dims) "
        "all = LSTM <hidden_size=4> (t, w, r, b, , h, h) s = Squeeze (all, one) "
        "back = Transpose <perm=[1,0,2]> (s) last = Constant <value_int=-1> () y = Gather <axis=1> (back, last)",
    ),
    "GRU and a product at each step": (
        "float[7,N,5] x",
        {"w": (1, 12, 5), "r": (1, 12, 4), "m": (4, 6), "c": (6,)},
        "all = GRU <hidden_size=4, linear_before_reset=1> (x, w, r) one = Constant <value_ints=[1]> () "
        "s = Squeeze (all, one) p = MatMul (s, m) y = Add (c, p)",
    ),
    "maps with channels last": (
        "float[N,8,6,3] x",
        {"w": (4, 3, 3, 3)},
        "t = Transpose <perm=[0,3,1,2]> (x) zeros = Constant <value_ints=[0,0,0,0,0,0,1,1]> () p = Pad (t, zeros) "
        "c = Conv <kernel_shape=[3,3], strides=[2,2]> (p, w) y = Transpose <perm=[0,2,3,1]> (c)",
    ),
    "squeeze and excitation": (
        "float[N,4,6,5] x",
        {"w": (2, 4, 1, 1), "v": (4, 2, 1, 1), "b": (4,)},
        "m = ReduceMean <axes=[2,3]> (x) a = Conv (m, w) r = Relu (a) e = Conv (r, v, b) "
        "g = HardSigmoid <alpha=0.1666667, beta=0.5> (e) y = Mul (g, x)",
    ),
    "constants for each channel": (
        "float[N,3,4,5] x",
        {"m": (1, 3, 1, 1), "s": (3, 1, 1), "k": ()},
        "a = Sub (x, m) b = Div (a, s) c = Mul (k, b) d = Sub (k, c) e = Sigmoid (d) y = Mul (d, e)",
    ),
    "ceil_mode and classifier": (
        "float[N,3,10,9] x",
        {"w": (5, 48), "b": (5,)},
        "p = MaxPool <kernel_shape=[3,3], strides=[2,2], ceil_mode=1> (x) "
        "q = AveragePool <kernel_shape=[2,2], pads=[0,0,1,1], strides=[1,1]> (p) d = Dropout (q) "
        "f = MaxPool <kernel_shape=[2,1]> (d) shape = Shape (f) zero = Constant <value_int=0> () "
        "n = Gather (shape, zero) axes = Constant <value_ints=[0]> () u = Unsqueeze (n, axes) "
        "rest = Constant <value_ints=[-1]> () t = Concat <axis=0> (u, rest) v = Reshape (f, t) "
        "g = Gemm <alpha=0.5, beta=2.0, transB=1> (v, w, b) y = Softmax <axis=-1> (g)",
    ),
    "transposed convolutions": (
        "float[N,4,5,6] x",
        {"w": (4, 3, 3, 3), "v": (6, 2, 2, 3)},
        'a = ConvTranspose <strides=[2,2], pads=[1,1,1,1], output_padding=[1,1], group=2> (x, w) '
        'y = ConvTranspose <strides=[2,3], auto_pad="SAME_LOWER", group=1> (a, v)',
    ),
    "same padding": (
        "float[N,4,7,6] x",
        {"w": (4, 1, 3, 2)},
        'a = Conv <strides=[2,2], auto_pad="SAME_LOWER", group=4> (x, w) '
        'b = MaxPool <kernel_shape=[2,2], auto_pad="SAME_UPPER"> (a) y = Clip (b)',
    ),
}


def exports():
    for seed, (name, (port, weights, nodes)) in enumerate(EXPORTS.items()):
        text = f'<ir_version: 8, opset_import: ["": 17]> g ({port}) => (float y) {{ {nodes} }}'
        model = onnx.parser.parse_model(text)
        numbers = np.random.default_rng(seed)
        for weight, shape in weights.items():
            values = numbers.standard_normal(shape).astype(np.float32)
            model.graph.initializer.append(onnx.numpy_helper.from_array(values, weight))
        model.graph.output[0].type.tensor_type.ClearField("shape")
        yield f"export/{name}", model.SerializeToString(), [], []


def collect(folder):
    count = itertools.count()
    for name, content, values, outputs in itertools.chain(exports(), models()):
        for suffix in ("", " with weights bound"):
            model = onnx.ModelProto.FromString(content)
            if suffix and len(values) < 2:
                continue
            try:
                if suffix:
                    bind(model, values)
                # What is expected is known for all inputs together.
                is_whole = len(values) == 1 or suffix
                expected = serialized(outputs[0]) if outputs and is_whole else None
                first = serialized(values[0]) if values else None
            except Exception:  # Sequences and the like are no weights.
                continue
            case = folder / f"{next(count):05}"
            case.mkdir(parents=True)
            onnx.save(model, case / "original.onnx")
            (case / "name").write_text(name + suffix)
            if first is not None:
                (case / "input_0.pb").write_bytes(first)
            if expected is not None:
                (case / "output_0.pb").write_bytes(expected)


def sample(value, case, seed):
    """An input of the original: what its test data says, or random numbers."""
    given = case / "input_0.pb"
    if seed == 0 and given.exists():
        return tensor(given)
    shape = [size if isinstance(size, int) else 1 for size in value.shape]
    kind = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(value.type, np.float32)
    return np.random.default_rng(seed).standard_normal(shape).astype(kind)


def layouts(maps, shape):
    """`maps` as our N x C x H x W: which dimension is which depends on the network."""
    channels, rows, cols = shape[1:]
    for order in itertools.permutations(range(maps.ndim)):
        moved = maps.transpose(order)
        sizes = list(moved.shape) + [1] * (4 - moved.ndim)
        if len(sizes) == 4 and sizes[1] == channels and sizes[2] >= rows and sizes[3] >= cols:
            yield moved.reshape(sizes)[:, :, :rows, :cols].astype(np.float32)
    if maps.size % (channels * rows * cols) == 0:
        yield maps.reshape(-1, channels, rows, cols).astype(np.float32)


def reread(folder):
    equal, wrong, refused, worst = [], [], {}, 0.0
    for case in sorted(path for path in folder.iterdir() if path.is_dir()):
        name = (case / "name").read_text()
        if (case / "refused").exists():
            refused[name] = (case / "refused").read_text()
            if name.startswith("export/"):
                wrong.append(f"{name}: {refused[name]}")
            continue
        onnx.checker.check_model(onnx.load(case / "rewritten.onnx"), full_check=True)
        rewritten = session(case / "rewritten.onnx")
        try:
            original = session(case / "original.onnx")
            samples = {port.name: sample(port, case, seed) for seed, port in enumerate(original.get_inputs())}
            expected = original.run(None, samples)[0]
        except Exception as error:
            # Newer than ONNX Runtime: the package says what is expected.
            if not (case / "output_0.pb").exists():
                refused[name] = f"read, but ONNX Runtime refuses the original: {type(error).__name__}"
                continue
            samples = {rewritten.get_inputs()[0].name: tensor(case / "input_0.pb")}
            expected = tensor(case / "output_0.pb")
        best = np.inf
        choices = [list(layouts(samples[port.name], port.shape)) for port in rewritten.get_inputs()]
        for chosen in itertools.product(*choices):
            inputs = {port.name: maps for port, maps in zip(rewritten.get_inputs(), chosen)}
            try:
                found = rewritten.run(None, inputs)[0]
            except Exception:
                continue
            for order in itertools.permutations(range(found.ndim)):
                moved = found.transpose(order)
                if moved.size == expected.size and [n for n in moved.shape if n > 1] == [n for n in expected.shape if n > 1]:
                    best = min(best, difference(moved.reshape(expected.shape), expected.astype(np.float32)))
            if best <= TOLERANCE:
                break
        if best > TOLERANCE:
            wrong.append(f"{name}: what was read differs by {best:.1e} from the original")
            continue
        worst = max(worst, best)
        equal.append(name)
    own = sum(name.startswith("export/") for name in equal)
    counts = f"{len(equal) - own} models of onnx {onnx.__version__} and onnxruntime, and {own} exports"
    print(f"{counts}, are read and equal in ONNX Runtime {onnxruntime.__version__}, at most {worst:.1e} off:")
    print("  " + "\n  ".join(equal))
    reasons = {}
    for name, reason in refused.items():
        reasons.setdefault(reason, []).append(name)
    print(f"{len(refused)} refused:")
    for reason, names in sorted(reasons.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        print(f"  {len(names)} x {reason.strip()}: {', '.join(names[:3])}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("compare", "collect", "reread"):
        sys.exit(__doc__)
    {"compare": compare, "collect": collect, "reread": reread}[sys.argv[1]](pathlib.Path(sys.argv[2]))
