//! Real series against plain computations; loudly skipped where they are absent.

use huong_types::Span;

use super::{KINDS, Raw, every_call, hops, naive, run};
use crate::expr::Aggregate::Nowcast;
use crate::expr::Cell;
use crate::tests::series::{rows, shared, time};
use crate::windows::{Plan, Window};

/// A file and its columns of time, number, text and another number.
const SERIES: [(&str, [&str; 4]); 3] = [
    ("ea_hebden_bridge_level_2025-08.csv", ["ts_utc", "level_m", "quality", "level_m"]),
    ("ea_gorple_rain_2025-08.csv", ["ts_utc", "rain_mm", "quality", "rain_mm"]),
    ("aq_hanoi_usembassy_2016-10.csv", ["ts_local", "pm25_nowcast_from_aqi", "aqi_categ", "aqi"]),
];

#[test]
fn real_series_give_what_a_plain_computation_says() {
    let Some(folder) = shared() else { return };
    let hour = 3600;
    let session = |gap, most| Window::Session { gap: Span::from_secs(gap), most: Span::from_secs(most) };
    let windows = [
        hops(hour, hour),
        hops(24 * hour, hour),
        hops(6 * hour, hour / 4),
        session(hour, 12 * hour),
        session(hour - 1, 12 * hour),
        Window::Count { size: 24, every: 5 },
    ];
    let mut calls = every_call();
    calls.push(super::call(Nowcast, 0));
    for (file, columns) in SERIES {
        let number = |text: &str| text.parse().map_or(Cell::Null, Cell::Number);
        let row = |row: Vec<String>| Raw { at: time(&row[0]), cells: [number(&row[1]), super::text(&row[2]), number(&row[3])], gap: false };
        let readings: Vec<Raw> = rows(&folder.join("series").join(file), &columns).into_iter().map(row).collect();
        assert!(readings.len() > 500, "{file} holds {} rows", readings.len());
        // Each late by up to three hours, in a fixed disorder.
        let mut delayed: Vec<_> =
            readings.iter().zip(0i64..).map(|(raw, i)| (raw.at + Span::from_mins(i * 7919 % 180), raw.clone())).collect();
        delayed.sort_by_key(|(arrival, _)| *arrival);
        let arrivals: Vec<Raw> = delayed.into_iter().map(|(_, raw)| raw).collect();
        for window in windows {
            // A NowCast asks for hops of an hour.
            let hourly = matches!(window, Window::Hops { hop, .. } if hop == Span::from_secs(hour));
            let plan = Plan::new(window, calls[..calls.len() - usize::from(!hourly)].to_vec(), &KINDS);
            let closed = run(&plan, Span::from_mins(181), &arrivals);
            assert!(closed.len() > 20 || matches!(window, Window::Session { .. }), "{file}, {window:?}: {} windows", closed.len());
            if let Err(difference) = naive::difference(plan.calls(), &closed, &naive::windows(window, plan.calls(), &readings)) {
                panic!("{file}, {window:?}: {difference}");
            }
            assert_eq!(closed, run(&plan, Span::from_mins(5), &readings), "{file}, {window:?}: in another order");
        }
    }
}
