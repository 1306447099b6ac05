//! Scalar functions over numbers: those of DataFusion that the trees evaluate themselves, and our own.
//!
//! Invariant: a function of DataFusion's gives here exactly what DataFusion gives, its results passed through [`super::finite`].

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::cast::as_string_array;
use datafusion::common::{DataFusionError, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::prelude::SessionContext;
use huong_types::{Zone, geo};

use super::{air, finite};

#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Given as many arguments as the type check let through; a missing one counts as NULL.
    pub(crate) eval: fn(&[Option<f64>]) -> Option<f64>,
}

pub(crate) const IN_ZONE: &str = "in_zone";
pub(crate) const ZONE_DISTANCE: &str = "zone_distance_m";
/// What `time_to(x, level)` becomes over the fitted line.
pub(crate) const HOURS_TO: &str = "hours_to";

/// Of DataFusion.
static KNOWN: [Function; 22] = [
    Function { name: "abs", eval: |a| one(a, f64::abs) },
    Function { name: "round", eval: round },
    Function { name: "floor", eval: |a| one(a, f64::floor) },
    Function { name: "ceil", eval: |a| one(a, f64::ceil) },
    Function { name: "sqrt", eval: |a| one(a, f64::sqrt) },
    Function { name: "cbrt", eval: |a| one(a, f64::cbrt) },
    Function { name: "power", eval: |a| Some(get(a, 0)?.powf(get(a, 1)?)) },
    Function { name: "exp", eval: |a| one(a, f64::exp) },
    Function { name: "ln", eval: |a| one(a, f64::ln) },
    Function { name: "log10", eval: |a| one(a, f64::log10) },
    Function { name: "log2", eval: |a| one(a, f64::log2) },
    Function { name: "sin", eval: |a| one(a, f64::sin) },
    Function { name: "cos", eval: |a| one(a, f64::cos) },
    Function { name: "tan", eval: |a| one(a, f64::tan) },
    Function { name: "atan", eval: |a| one(a, f64::atan) },
    Function { name: "radians", eval: |a| one(a, f64::to_radians) },
    Function { name: "degrees", eval: |a| one(a, f64::to_degrees) },
    Function { name: "coalesce", eval: |a| a.iter().find_map(|x| *x) },
    Function { name: "nvl", eval: |a| a.iter().find_map(|x| *x) },
    Function { name: "nullif", eval: |a| get(a, 0).filter(|x| get(a, 1) != Some(*x)) },
    Function { name: "greatest", eval: |a| a.iter().flatten().copied().reduce(f64::max) },
    Function { name: "least", eval: |a| a.iter().flatten().copied().reduce(f64::min) },
];

/// Our own, with the numbers each takes.
static OWN: [(Function, &[&str]); 3] = [
    (Function { name: "distance_m", eval: distance_m }, &["lat", "lon", "lat", "lon"]),
    (Function { name: "vn_aqi", eval: |a| air::vn_aqi(std::array::from_fn(|i| get(a, i))) }, &["pm25", "pm10", "o3", "co", "so2", "no2"]),
    (Function { name: HOURS_TO, eval: hours_to }, &["at", "per_hour", "closer_per_hour", "level"]),
];

/// [`super::finite`] for DataFusion's own evaluation.
pub(crate) static FINITE: LazyLock<ScalarUDF> =
    LazyLock::new(|| udf(&Function { name: "finite", eval: |a| get(a, 0).and_then(finite) }, 1));

pub(crate) fn find(name: &str) -> Option<&'static Function> {
    KNOWN.iter().chain(OWN.iter().map(|(function, _)| function)).find(|f| f.name == name)
}

/// What a function of ours takes, when `count` arguments are not that.
pub(crate) fn misused(name: &str, count: usize) -> Option<String> {
    let (_, parameters) = OWN.iter().find(|(function, _)| function.name == name)?;
    (parameters.len() != count).then(|| format!("`{name}` is written {name}({})", parameters.join(", ")))
}

/// Our functions of numbers and of zones, for DataFusion to plan with and to evaluate where a foreign leaf holds one.
pub(crate) fn register(context: &SessionContext, zones: &Arc<[Arc<Zone>]>) {
    for (function, parameters) in &OWN {
        context.register_udf(udf(function, parameters.len()));
    }
    let place = || vec![DataType::Float64, DataType::Float64, DataType::Utf8];
    let known = Arc::clone(zones);
    let distance = move |args: &[ColumnarValue]| {
        over_zones::<_, Float64Array>(args, &known, |zone, at| geo::edge_distance_m(&zone.points, at).and_then(finite))
    };
    context.register_udf(create_udf(ZONE_DISTANCE, place(), DataType::Float64, Volatility::Immutable, Arc::new(distance)));
    let known = Arc::clone(zones);
    let inside =
        move |args: &[ColumnarValue]| over_zones::<_, BooleanArray>(args, &known, |zone, at| Some(geo::contains(&zone.points, at)));
    context.register_udf(create_udf(IN_ZONE, place(), DataType::Boolean, Volatility::Immutable, Arc::new(inside)));
}

fn get(args: &[Option<f64>], index: usize) -> Option<f64> {
    args.get(index).copied().flatten()
}

fn one(args: &[Option<f64>], f: fn(f64) -> f64) -> Option<f64> {
    get(args, 0).map(f)
}

/// To the number of decimals in the second argument, none by default; half away from zero.
fn round(args: &[Option<f64>]) -> Option<f64> {
    let x = get(args, 0)?;
    if args.len() < 2 {
        return Some(x.round());
    }
    let factor = 10_f64.powi(get(args, 1)? as i32);
    Some((x * factor).round() / factor)
}

/// Latitude, longitude, latitude, longitude in WGS84 degrees.
fn distance_m(args: &[Option<f64>]) -> Option<f64> {
    Some(geo::distance_m((get(args, 0)?, get(args, 1)?), (get(args, 2)?, get(args, 3)?)))
}

/// Hours until a line that is at `fit` now and moves by `slope` per hour, `closer` per hour faster towards `level` whichever way that
/// is, reaches `level`. 0 when it is there, NULL when it stands still or moves away.
fn hours_to(args: &[Option<f64>]) -> Option<f64> {
    let (fit, slope, closer, level) = (get(args, 0)?, get(args, 1)?, get(args, 2)?, get(args, 3)?);
    let way = level - fit;
    if way == 0.0 {
        return Some(0.0);
    }
    let speed = slope * way.signum() + closer;
    (speed > 0.0).then(|| way.abs() / speed)
}

fn udf(function: &Function, numbers: usize) -> ScalarUDF {
    let eval = function.eval;
    let run = move |args: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(args)?;
        let columns: Vec<&Float64Array> = arrays.iter().map(|a| a.as_primitive::<Float64Type>()).collect();
        let rows = arrays.first().map_or(0, |a| a.len());
        let value = |row: usize| eval(&columns.iter().map(|c| c.is_valid(row).then(|| c.value(row))).collect::<Vec<_>>()).and_then(finite);
        Ok(ColumnarValue::Array(Arc::new((0..rows).map(value).collect::<Float64Array>())))
    };
    create_udf(function.name, vec![DataType::Float64; numbers], DataType::Float64, Volatility::Immutable, Arc::new(run))
}

/// Of a latitude, a longitude and the id of a zone.
fn over_zones<T, A: Array + FromIterator<Option<T>> + 'static>(
    args: &[ColumnarValue],
    zones: &[Arc<Zone>],
    eval: fn(&Zone, (f64, f64)) -> Option<T>,
) -> Result<ColumnarValue, DataFusionError> {
    let arrays = ColumnarValue::values_to_arrays(args)?;
    let [lat, lon, ids] = arrays.as_slice() else {
        return exec_err!("a latitude, a longitude and a zone");
    };
    let (lat, lon, ids) = (lat.as_primitive::<Float64Type>(), lon.as_primitive::<Float64Type>(), as_string_array(ids)?);
    let value = |row: usize| {
        let known = lat.is_valid(row) && lon.is_valid(row) && ids.is_valid(row);
        let zone = zones.iter().find(|z| known && z.id == *ids.value(row))?;
        eval(zone, (lat.value(row), lon.value(row)))
    };
    Ok(ColumnarValue::Array(Arc::new((0..lat.len()).map(value).collect::<A>())))
}
