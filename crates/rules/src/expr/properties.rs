//! Any expression on any row gives what DataFusion gives for it.

use std::sync::{Arc, LazyLock};

use datafusion::common::ScalarValue;
use huong_types::{Name, Zone};
use proptest::prelude::*;

use super::foreign::Foreign;
use super::*;

const NUMBERS: [&str; 5] = ["value", "\"rate\"", "station.bd2", "limit.warn", "up.value"];
const TEXTS: [&str; 3] = ["status", "key", "station.kind"];

static COMPILER: LazyLock<Compiler> = LazyLock::new(|| {
    let points = vec![(-1.0, -1.0), (-1.0, 2.0), (2.0, 3.0)];
    let (id, name, name_en, source) = ("citadel".into(), String::new(), String::new(), String::new());
    Compiler::new(&[Zone { id, name, name_en, points, source }])
});

fn schema() -> Schema {
    let column = |(name, kind): (&str, Kind)| (Name::from(name), kind);
    let own = [("value", Kind::Number), ("rate", Kind::Number), ("status", Kind::Text), ("key", Kind::Text)].map(column);
    let facts: Arc<[(Name, Kind)]> = [("bd2", Kind::Number), ("kind", Kind::Text)].map(column).into();
    let extra = ["limit.warn", "up.value"].map(|name| (name.to_owned(), Kind::Number));
    Schema::new(own.to_vec(), facts, extra.to_vec()).expect("names differ")
}

/// SQL of a number, a truth and a text, each up to `depth` operations deep.
fn sql(depth: u32) -> (BoxedStrategy<String>, BoxedStrategy<String>, BoxedStrategy<String>) {
    let one_of = |from: &'static [&'static str]| prop::sample::select(from).prop_map(str::to_owned).boxed();
    let literal = one_of(&["0", "1", "2", "-3", "0.5", "2.5", "-0.0", "1e300", "NULL::double", "1 / 2", "7 % 4"]);
    let number = prop_oneof![3 => one_of(&NUMBERS), 1 => literal].boxed();
    let truth = one_of(&["true", "false", "NULL::boolean", "value > 1", "status = 'open'"]);
    let text = prop_oneof![3 => one_of(&TEXTS), 1 => one_of(&["'open'", "'shut'", "''", "NULL::varchar"])].boxed();
    // DataFusion 55 takes `'a' in ('b', case when .. then .. else 'a' end)` for false: lists hold columns and literals only.
    let (plain_number, plain_text) = (number.clone(), text.clone());
    (0..depth).fold((number, truth, text), move |(n, b, t), _| {
        let compare = one_of(&["=", "<>", "<", "<=", ">", ">=", "is distinct from"]);
        let one = one_of(&["abs", "round", "floor", "ceil", "cbrt", "exp", "ln", "log10", "log2", "sin", "cos", "tan", "atan", "radians", "degrees", "signum", "-"]);
        let many = one_of(&["greatest", "least", "coalesce"]);
        let number = prop_oneof![
            2 => n.clone(),
            4 => (n.clone(), one_of(&["+", "-", "*", "/", "%"]), n.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            3 => (one, n.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => n.clone().prop_map(|a| format!("sqrt(abs({a}))")),
            1 => (n.clone(), -2..4).prop_map(|(a, d)| format!("round({a}, {d})")),
            1 => (n.clone(), n.clone()).prop_map(|(a, b)| format!("power(abs({a}) + 0.1, {b})")),
            1 => (n.clone(), n.clone()).prop_map(|(a, b)| format!("nullif({a}, {b})")),
            2 => (many.clone(), n.clone(), n.clone(), n.clone()).prop_map(|(f, a, b, c)| format!("{f}({a}, {b}, {c})")),
            2 => (b.clone(), n.clone(), n.clone()).prop_map(|(when, a, b)| format!("case when {when} then {a} else {b} end")),
            1 => (n.clone(), n.clone(), n.clone()).prop_map(|(x, a, b)| format!("case {x} when {a} then {b} when 2 then 1 end")),
            1 => n.clone().prop_map(|a| format!("cast(cast({a} as bigint) as double)")),
            1 => t.clone().prop_map(|a| format!("(length({a}) + 0.5)")),
            1 => t.clone().prop_map(|a| format!("cast({a} as double)")),
            1 => [n.clone(), n.clone(), n.clone(), n.clone()].prop_map(|a| format!("distance_m({})", a.join(", "))),
            1 => [n.clone(), n.clone(), n.clone(), n.clone()].prop_map(|a| format!("hours_to({})", a.join(", "))),
            1 => (n.clone(), n.clone()).prop_map(|(a, b)| format!("vn_aqi({a}, NULL, {b}, 3, {a}, {b})")),
            1 => (n.clone(), n.clone()).prop_map(|(a, b)| format!("zone_distance_m({a}, {b}, 'citadel')")),
        ];
        let truth = prop_oneof![
            1 => b.clone(),
            4 => (n.clone(), compare.clone(), n.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            2 => (t.clone(), compare, t.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            4 => (b.clone(), one_of(&["and", "or", "="]), b.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            1 => b.clone().prop_map(|a| format!("(not {a})")),
            2 => (b.clone(), one_of(&["true", "false", "unknown", "null", "not true", "not false", "not unknown", "not null"]))
                .prop_map(|(a, is)| format!("({a} is {is})")),
            1 => (prop_oneof![n.clone(), t.clone()], any::<bool>()).prop_map(|(a, not)| format!("({a} is {} null)", if not { "not" } else { "" })),
            1 => (n.clone(), any::<bool>(), n.clone(), n.clone())
                .prop_map(|(x, not, a, b)| format!("({x} {} between {a} and {b})", if not { "not" } else { "" })),
            1 => (n.clone(), any::<bool>(), plain_number.clone(), plain_number.clone())
                .prop_map(|(x, not, a, b)| format!("({x} {} in (1, {a}, {b}))", if not { "not" } else { "" })),
            1 => (t.clone(), any::<bool>(), plain_text.clone())
                .prop_map(|(x, not, a)| format!("({x} {} in ('open', {a}))", if not { "not" } else { "" })),
            1 => t.clone().prop_map(|a| format!("({a} like '%e%')")),
            1 => (b.clone(), b.clone()).prop_map(|(a, b)| format!("coalesce({a}, {b})")),
            1 => (b.clone(), b.clone(), b.clone()).prop_map(|(a, b, c)| format!("case when {a} then {b} else {c} end")),
            1 => (n.clone(), n.clone()).prop_map(|(a, b)| format!("in_zone({a}, {b}, 'citadel')")),
        ];
        let text = prop_oneof![
            2 => t.clone(),
            1 => (one_of(&["upper", "lower", "trim"]), t.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => (t.clone(), t.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            1 => (many, t.clone(), t.clone(), t.clone()).prop_map(|(f, a, b, c)| format!("{f}({a}, {b}, {c})")),
            1 => (t.clone(), t.clone()).prop_map(|(a, b)| format!("nullif({a}, {b})")),
            1 => (b, t.clone(), t.clone()).prop_map(|(when, a, b)| format!("case when {when} then {a} else {b} end")),
            1 => n.prop_map(|a| format!("cast({a} as varchar)")),
        ];
        (number.boxed(), truth.boxed(), text.boxed())
    })
}

fn any_sql() -> impl Strategy<Value = String> {
    let (number, truth, text) = sql(3);
    prop_oneof![2 => number, 3 => truth, 1 => text]
}

fn number() -> BoxedStrategy<Cell> {
    let odd = prop::sample::select(&[0.0, -0.0, 1.0, 2.0, 2.5, -3.0, 0.5, 1e300, -1e300, 1e-300, f64::NAN, f64::INFINITY][..]);
    prop_oneof![2 => Just(Cell::Null), 4 => odd.prop_map(Cell::Number), 4 => (-100.0..100.0).prop_map(Cell::Number)].boxed()
}

fn text() -> BoxedStrategy<Cell> {
    let texts = prop::sample::select(&["open", "shut", "", "Huế", "2.5", " x "][..]);
    prop_oneof![1 => Just(Cell::Null), 4 => texts.prop_map(|text| Cell::Text(text.into()))].boxed()
}

fn cell(value: &ScalarValue) -> Cell {
    match value {
        ScalarValue::Float64(x) => x.map_or(Cell::Null, Cell::Number),
        ScalarValue::Boolean(x) => x.map_or(Cell::Null, |x| Cell::Number(f64::from(u8::from(x)))),
        text => text.try_as_str().flatten().map_or(Cell::Null, |text| Cell::Text(text.into())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_tree_gives_what_datafusion_gives(
        sql in any_sql(),
        rows in prop::collection::vec(([number(), number(), text(), text()], [number(), text()], [number(), number()]), 8),
    ) {
        let schema = schema();
        // A mistake that DataFusion sees in what is constant, a zero divisor say.
        let Ok(output) = COMPILER.value(&sql, &schema) else { return Ok(()) };
        let (expr, _) = COMPILER.parsed(&sql, &schema).and_then(|parsed| COMPILER.plan(parsed, &schema)).expect("it compiled");
        let theirs = Foreign::new(&COMPILER.state, &expr, &schema).expect("it compiled");
        for (own, facts, extra) in rows {
            let row = Row { own: &own, facts: &facts, extra: &extra };
            let expected = theirs.value(row).map(|value| cell(&value)).expect("nothing of this fails");
            prop_assert_eq!(output.eval(row), expected, "{} on {:?}", sql, row);
        }
    }
}
