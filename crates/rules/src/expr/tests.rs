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

#[test]
fn mistakes_say_what_was_found_and_what_is_known() {
    let table = [
        ("valu > 3", "no column `valu`. Did you mean `value`?"),
        ("value > station.bd", "no column `station.bd`. Did you mean `station.bd2`?"),
        ("value > bd2", "no column `bd2`. Did you mean `station.bd2`?"),
        ("limit.warn > limit.wran", "no column `limit.wran`. Did you mean `limit.warn`?"),
        ("status = \"open\"", "no column `open` (a text is written 'open', in single quotes)"),
        ("status = 1", "status is a text, but 1 is a number"),
        ("value in (1, 'a')", "value is a number, but 'a' is a text"),
        ("value between 'a' and 2", "value is a number, but 'a' is a text"),
        ("coalesce(value, 'a') > 1", "value is a number, but 'a' is a text"),
        ("case when value > 1 then 'a' else 2 end = 'a'", "'a' is a text, but 2 is a number"),
        ("value", "a number, not a condition"),
        ("status", "a text, not a condition"),
        ("value >", "Expected: an expression, found: the end"),
        ("value > 3 garbage", "Expected: end of expression, found: garbage at Line: 1, Column: 11"),
        ("value > 1; drop", "Expected: end of expression, found: ; at Line: 1, Column: 10"),
        ("flor(value) > 1", "no function `flor`. Did you mean `floor`?"),
        ("max(value) > 3", "`max()` is over a window: it belongs in `select`"),
        ("time_to(value, 3) < 2", "`time_to()` is over a window: it belongs in `select`"),
        ("random() > 0.5", "`random()`, whose result depends on when it is asked"),
        ("current_date > 1", "`current_date()`, whose result depends on when it is asked"),
        ("value > 1 / 0", "Divide by zero error"),
        ("in_zone(1, 2, 'x')", "no zone `x` in `in_zone`: the registry knows citadel"),
        ("in_zone(1, 2, status)", "`in_zone` is written in_zone(lat, lon, 'zone'), the zone being one of citadel"),
        ("zone_distance_m(1, 2) > 5", "`zone_distance_m` is written zone_distance_m(lat, lon, 'zone'), the zone being one of citadel"),
        ("distance_m(1, 2, 3) > 4", "`distance_m` is written distance_m(lat, lon, lat, lon)"),
        ("value in (select 1)", "a query inside of an expression"),
        ("value > $1", "the parameter `$1`"),
        ("row_number() over () > 1", "`row_number` with over: a rule's windows are its own"),
        ("value and 1", "logical boolean operation number AND number"),
        ("status + 1 > 2", "Cannot coerce arithmetic expression text + number to valid types"),
    ];
    let (compiler, schema) = (Compiler::new(&zones()), schema());
    for (sql, expected) in table {
        let message = compiler.condition(sql, &schema).expect_err(sql);
        assert!(message.contains(expected), "{sql}: {message}");
    }
    let message = compiler.number("value > 3", &schema).expect_err("a condition");
    assert_eq!(message, "a condition, not a number");
    let message = compiler.value("to_timestamp('2025-01-01')", &schema).expect_err("a time");
    assert!(message.ends_with("not a number or a text"), "{message}");
}

#[test]
fn a_column_named_like_a_word_of_sql_is_written_in_quotes() {
    let own = ["user", "current_date", "rate"].map(|name| (Name::from(name), Kind::Number));
    let extra = vec![("all.q".to_owned(), Kind::Number)];
    let schema = Schema::new(own.to_vec(), [].into(), extra).expect("names differ");
    let compiler = Compiler::new(&[]);
    for (sql, word) in [("user > 1", "user"), ("rate > 1 and current_date > 2", "current_date"), ("rate < all.q", "all")] {
        let message = compiler.condition(sql, &schema).expect_err(sql);
        assert!(message.ends_with(&format!("(`{word}` is a word of SQL: the column is written \"{word}\")")), "{message}");
        compiler.condition(&sql.replace(word, &format!("\"{word}\"")), &schema).expect("quoted");
    }
    assert!(Schema::new([own.clone(), own].concat(), [].into(), vec![]).expect_err("twice").contains("two columns of the name `user`"));
}

#[test]
fn long_expressions_are_refused_and_the_longest_evaluated() {
    let (compiler, schema) = (Compiler::new(&[]), schema());
    let row = Row { own: &[Cell::Number(1.0)], facts: &[], extra: &[] };
    let sum = |terms: usize| vec!["value"; terms].join(" + ");
    assert_eq!(compiler.number(&sum(80), &schema).expect("80 deep").eval(row), Some(80.0));
    let message = compiler.number(&sum(81), &schema).expect_err("81 deep");
    assert_eq!(message, "more than 80 operations on top of each other");
    let message = compiler.number(&sum(401), &schema).expect_err("801 tokens");
    assert_eq!(message, "801 names and signs, more than the 800 an expression may have");
    assert!(compiler.number(&sum(400), &schema).is_err());
    let list = format!("value in ({})", vec!["1"; 5000].join(", "));
    assert_eq!(compiler.condition(&list, &schema).expect("a list is not deep").eval(row), Some(true));
    let nested = format!("{}value{}", "(".repeat(60), ")".repeat(60));
    assert_eq!(compiler.number(&nested, &schema).expect_err("deep"), "too many parentheses within each other");
}

#[test]
fn calls_of_a_select_are_noted_once() {
    let (compiler, schema) = (Compiler::new(&zones()), schema());
    let call = |kind, field| Call { kind, field: Some(field) };
    let mut calls = Vec::new();
    let mut select = |sql: &str| compiler.select(sql, &schema, &mut calls).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let spread = select("max(value) - min(value) + station.bd2");
    let share = select("count(status) / count(*)");
    let label = select("last(status) || '!'");
    let same = select("MAX(value) * 2 + percentile(value, 0.5) - median(value) + rate(rate)");
    let hidden = select("max(\"end\")");
    assert_eq!(label.kind(), Kind::Text);
    assert_eq!(
        calls,
        [
            call(Aggregate::Max, 0),
            call(Aggregate::Min, 0),
            call(Aggregate::Count, 2),
            Call { kind: Aggregate::Rows, field: None },
            call(Aggregate::Last, 2),
            call(Aggregate::Percentile(0.5), 0),
            call(Aggregate::Rate, 1),
            call(Aggregate::Max, 3),
        ]
    );
    let figures = [5.0, 1.0, 3.0, 4.0].map(Cell::Number);
    let own = [&figures[..], &[Cell::Text("open".into()), Cell::Number(2.0), Cell::Number(0.5), Cell::Null]].concat();
    let row = Row { own: &own, facts: &[Cell::Number(2.0)], extra: &[] };
    assert_eq!(spread.eval(row), Cell::Number(6.0));
    assert_eq!(share.eval(row), Cell::Number(0.75), "counts divide as numbers, not as whole ones");
    assert_eq!(label.eval(row), Cell::Text("open!".into()));
    assert_eq!(same.eval(row), Cell::Number(10.5));
    assert_eq!(hidden.eval(row), Cell::Null);
}

#[test]
fn mistakes_in_a_select() {
    let table = [
        ("valu", "no column `valu`. Did you mean `value`?"),
        ("value", "`value` outside of an aggregate: write max(value), last(value), ..."),
        ("max(value) + value", "`value` outside of an aggregate"),
        ("max(valu)", "`max(valu)`: no field `valu`, the fields are value, rate, status, end, key"),
        ("max(value + 1)", "`max` of something other than one field: the fields are value, rate, status, end, key"),
        ("max(station.bd2)", "`max` of something other than one field"),
        ("max(max(value))", "`max` of something other than one field"),
        ("max(*)", "`max` of something other than one field"),
        ("max(value, rate)", "`max` takes one field"),
        ("max(status)", "`max(status)`: `status` is a text"),
        ("time_to(status, 3)", "`time_to(status)`: `status` is a text"),
        ("time_to(value)", "`time_to` is written time_to(field, level)"),
        ("percentile(value, 95)", "`percentile` is written percentile(field, 0.95), with a share from 0 to 1"),
        ("percentile(value, rate)", "`percentile` is written percentile(field, 0.95), with a share from 0 to 1"),
        ("count(distinct status)", "`count` with distinct, filter or order by"),
        ("max(value) filter (where value > 1)", "`max` with distinct, filter or order by"),
        ("sum(value) over ()", "`sum` with over: a rule's windows are its own"),
        ("var_pop(value)", "aggregate `var_pop`: the windows know max, min, avg, sum, count, first, last, delta, rate, slope, "),
        ("mx(value)", "no function `mx`. Did you mean `max`?"),
        ("last(status) + 1", "Cannot coerce arithmetic expression text + number to valid types"),
    ];
    let (compiler, schema) = (Compiler::new(&zones()), schema());
    for (sql, expected) in table {
        let message = compiler.select(sql, &schema, &mut Vec::new()).expect_err(sql);
        assert!(message.contains(expected), "{sql}: {message}");
    }
}

#[test]
fn hours_until_a_line_reaches_a_level() {
    let (compiler, schema) = (Compiler::new(&zones()), schema());
    let mut calls = Vec::new();
    let times = ["time_to(value, station.bd2)", "time_to_low(value, station.bd2)", "time_to_high(value, station.bd2)"]
        .map(|sql| compiler.select(sql, &schema, &mut calls).expect(sql));
    assert_eq!(calls.iter().map(|c| c.kind).collect::<Vec<_>>(), [Aggregate::Fit, Aggregate::Slope, Aggregate::SlopeError]);
    let table = [
        // Level 2 m; fit, slope and its standard error per hour; time, earliest, latest.
        ([Some(1.0), Some(0.2), Some(0.025)], [Some(5.0), Some(4.0), Some(1.0 / 0.15)]),
        // Falling towards it: the same the other way round.
        ([Some(3.0), Some(-0.2), Some(0.025)], [Some(5.0), Some(4.0), Some(1.0 / 0.15)]),
        // The slope is not told from none: it may never come.
        ([Some(1.0), Some(0.2), Some(0.1)], [Some(5.0), Some(2.5), None]),
        ([Some(1.0), Some(-0.1), Some(0.1)], [None, Some(10.0), None]),
        // Standing still, moving away below and above.
        ([Some(1.0), Some(0.0), Some(0.0)], [None, None, None]),
        ([Some(1.0), Some(-0.2), Some(0.0)], [None, None, None]),
        ([Some(3.0), Some(0.2), Some(0.0)], [None, None, None]),
        // There.
        ([Some(2.0), Some(0.2), Some(0.1)], [Some(0.0), Some(0.0), Some(0.0)]),
        // Two readings have a slope but no error of it; one has neither.
        ([Some(1.0), Some(0.2), None], [Some(5.0), None, None]),
        ([Some(1.0), None, None], [None, None, None]),
    ];
    for (line, expected) in table {
        let own = line.map(|x| x.map_or(Cell::Null, Cell::Number));
        let row = Row { own: &own, facts: &[Cell::Number(2.0)], extra: &[] };
        for (time, expected) in times.iter().zip(expected) {
            let same = match (time.eval(row), expected) {
                (Cell::Number(hours), Some(expected)) => (hours - expected).abs() < 1e-9,
                (cell, expected) => cell == Cell::Null && expected.is_none(),
            };
            assert!(same, "{line:?}: {:?}, expected {expected:?}", time.eval(row));
        }
    }
}

#[test]
fn columns_are_what_is_read() {
    let (compiler, schema) = (Compiler::new(&zones()), schema());
    let place = |part, index| Place { part, index };
    let condition = compiler.condition("up.value > station.bd2 and (value > 1 or status like 'o%') and value < 9", &schema).expect("valid");
    let expected = [place(Part::Own, 0), place(Part::Own, 2), place(Part::Facts, 0), place(Part::Extra, 1)];
    assert_eq!(condition.columns(), expected);
    assert_eq!(compiler.number("1 + 1", &schema).expect("valid").columns(), []);
    assert_eq!(compiler.value("status", &schema).expect("valid").columns(), [place(Part::Own, 2)]);
    let names: Vec<&str> = expected.iter().map(|p| schema.name(*p)).collect();
    assert_eq!(names, ["value", "status", "station.bd2", "up.value"]);
}

#[test]
fn a_condition_explains_itself() {
    let (compiler, schema) = (Compiler::new(&zones()), schema());
    let own = [Cell::Number(2.5), Cell::Number(-4.0), Cell::Text("open".into())];
    let row = Row { own: &own, facts: &[Cell::Number(2.0)], extra: &[] };
    let explain = |sql| {
        let lines = compiler.condition(sql, &schema).expect("valid").explain(row);
        lines.into_iter().map(|(sql, value)| format!("{sql}: {value}")).collect::<Vec<_>>()
    };
    assert_eq!(explain("value >= station.bd2"), ["value >= station.bd2: TRUE", "value: 2.5", "station.bd2: 2"]);
    assert_eq!(
        explain("(value - station.bd2) * 2 > 0.5 and not (status in ('shut', 'o''k') or coalesce(up.value, rate) < 0)"),
        [
            "(value - station.bd2) * 2 > 0.5: TRUE",
            "(value - station.bd2) * 2: 1",
            "value - station.bd2: 0.5",
            "value: 2.5",
            "station.bd2: 2",
            "status IN ('shut', 'o''k'): FALSE",
            "status: 'open'",
            "coalesce(up.value, rate) < 0: TRUE",
            "coalesce(up.value, rate): -4",
            "up.value: NULL",
            "rate: -4",
        ]
    );
    assert_eq!(
        explain("length(status) > station.bd2"),
        [
            "CAST(character_length(status) AS DOUBLE) > station.bd2: TRUE",
            "CAST(character_length(status) AS DOUBLE): 4",
            "status: 'open'",
            "station.bd2: 2"
        ]
    );
}
