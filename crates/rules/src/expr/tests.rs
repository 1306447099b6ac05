//! Expressions by example: values, names, mistakes.

use std::sync::Arc;

use huong_types::{Name, Zone};

use super::*;

fn zones() -> Vec<Zone> {
    vec![Zone {
        id: "citadel".into(),
        name: "Kinh thành".into(),
        name_en: "Citadel".into(),
        points: vec![(16.0, 107.0), (16.0, 108.0), (17.0, 108.0), (17.0, 107.0)],
        source: "made up".into(),
    }]
}

fn schema() -> Schema {
    let column = |(name, kind): (&str, Kind)| (Name::from(name), kind);
    let own = [("value", Kind::Number), ("rate", Kind::Number), ("status", Kind::Text), ("end", Kind::Number), ("key", Kind::Text)];
    let facts: Arc<[(Name, Kind)]> = [("bd2", Kind::Number), ("value", Kind::Number), ("kind", Kind::Text)].map(column).into();
    let extra = [("limit.warn", Kind::Number), ("up.value", Kind::Number), ("baseline.mean", Kind::Number)];
    let extra = extra.map(|(name, kind)| (name.to_owned(), kind)).to_vec();
    Schema::new(own.map(column).to_vec(), facts, extra).expect("names differ")
}

fn value(sql: &str) -> Cell {
    let text = |text: &str| Cell::Text(text.into());
    let own = [Cell::Number(2.5), Cell::Number(-4.0), text("open"), Cell::Null, text("kimlong")];
    let facts = [Cell::Number(2.0), Cell::Number(7.0), text("river")];
    let extra = [Cell::Number(0.2), Cell::Null, Cell::Number(1.5)];
    let output = Compiler::new(&zones()).value(sql, &schema()).unwrap_or_else(|e| panic!("{sql}: {e}"));
    output.eval(Row { own: &own, facts: &facts, extra: &extra })
}

#[test]
fn values() {
    let table: &[(&str, f64)] = &[
        ("value >= station.bd2", 1.0),
        ("value >= station.bd2 and rate > 0", 0.0),
        ("station.value - value", 4.5),
        ("rate", -4.0),
        ("limit.warn * 10", 2.0),
        ("1 / 2", 0.0),
        ("1 / 2.0", 0.5),
        ("value / 2", 1.25),
        ("coalesce(up.value, baseline.mean)", 1.5),
        ("status = 'open'", 1.0),
        ("status in ('closed', 'open')", 1.0),
        ("status like 'op%'", 1.0),
        ("key || station.kind = 'kimlongriver'", 1.0),
        ("length(status)", 4.0),
        ("case status when 'open' then value else 0 end", 2.5),
        ("sqrt(rate) is null", 1.0),
        ("value / 0 is null", 1.0),
        ("-1 * 0 = value * 0", 1.0),
        ("in_zone(16.5, 107.5, 'citadel')", 1.0),
        ("in_zone(18, 107.5, 'citadel')", 0.0),
        ("round(distance_m(16, 107, 16, 107))", 0.0),
        ("vn_aqi(65, NULL, NULL, NULL, NULL, NULL)", 125.0),
        ("value between 2 and 3", 1.0),
        ("\"end\" is null", 1.0),
    ];
    for (sql, expected) in table {
        assert_eq!(value(sql), Cell::Number(*expected), "{sql}");
    }
    assert_eq!(value("upper(status)"), Cell::Text("OPEN".into()));
    assert_eq!(value("up.value > 3"), Cell::Null);
}
