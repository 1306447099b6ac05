//! ONNX files of one picture in and constants out, written field by field as `onnx.proto` numbers them.

/// An output that is always the same.
#[derive(Clone)]
pub(crate) struct Output {
    name: &'static str,
    shape: Vec<i64>,
    /// 1 is f32, 7 is i64.
    kind: u64,
    bytes: Vec<u8>,
}

impl Output {
    pub(crate) fn f32<const N: usize>(name: &'static str, shape: [i64; N], values: Vec<f32>) -> Self {
        assert_eq!(values.len() as i64, shape.iter().product::<i64>(), "{name}");
        Self { name, shape: shape.to_vec(), kind: 1, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }

    pub(crate) fn i64<const N: usize>(name: &'static str, shape: [i64; N], values: Vec<i64>) -> Self {
        Self { name, shape: shape.to_vec(), kind: 7, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }
}

/// A model that takes `input` as f32 and gives `outputs`.
pub(crate) fn model(input: [i64; 4], outputs: &[Output]) -> Vec<u8> {
    let mut graph = Vec::new();
    for output in outputs {
        let constant = format!("{}_value", output.name);
        graph.extend(field(1, &node("Identity", &constant, output.name)));
        let dims = output.shape.iter().flat_map(|side| number(1, *side as u64));
        graph.extend(field(5, &[dims.collect(), number(2, output.kind), field(8, constant.as_bytes()), field(9, &output.bytes)].concat()));
    }
    graph.extend(field(2, b"constants"));
    graph.extend(field(11, &value("images", 1, &input)));
    for output in outputs {
        graph.extend(field(12, &value(output.name, output.kind, &output.shape)));
    }
    [number(1, 8), field(7, &graph), field(8, &number(2, 17))].concat()
}

fn node(kind: &str, input: &str, output: &str) -> Vec<u8> {
    [field(1, input.as_bytes()), field(2, output.as_bytes()), field(4, kind.as_bytes())].concat()
}

fn value(name: &str, kind: u64, shape: &[i64]) -> Vec<u8> {
    let shape: Vec<u8> = shape.iter().flat_map(|side| field(1, &number(1, *side as u64))).collect();
    let tensor = [number(1, kind), field(2, &shape)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
}

/// A field of bytes.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A field of a whole number.
fn number(number: u64, value: u64) -> Vec<u8> {
    [varint(number << 3), varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(value as u8 & 127 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
