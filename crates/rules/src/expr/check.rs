//! What a planned expression may not say, though DataFusion would take it.
//!
//! Invariant: what passes depends on nothing but its row and compares only like with like.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use huong_types::Zone;

use super::foreign::written;
use super::functions::{IN_ZONE, ZONE_DISTANCE, misused};
use super::sql::plain;

/// Functions whose arguments must be of one kind.
const ALIKE: [&str; 5] = ["coalesce", "nvl", "nullif", "greatest", "least"];

pub(crate) fn check(expr: &Expr, schema: &DFSchema, zones: &[Arc<Zone>]) -> Result<(), String> {
    let mut wrong = None;
    let visited = expr.apply(|node| {
        wrong = match node {
            Expr::ScalarFunction(function) if function.func.signature().volatility != Volatility::Immutable => {
                Some(format!("`{}()`, whose result depends on when it is asked", function.name()))
            }
            Expr::ScalarFunction(function) if [IN_ZONE, ZONE_DISTANCE].contains(&function.name()) => {
                zone(function.name(), function.args.get(2), zones).err()
            }
            Expr::ScalarFunction(function) if ALIKE.contains(&function.name()) => alike(&function.args, schema),
            Expr::ScalarFunction(function) => misused(function.name(), function.args.len()),
            Expr::BinaryExpr(binary) if binary.op.supports_propagation() => alike([&*binary.left, &*binary.right], schema),
            Expr::Between(between) => alike([&*between.expr, &*between.low, &*between.high], schema),
            Expr::InList(list) => alike(std::iter::once(&*list.expr).chain(&list.list), schema),
            Expr::Case(case) => {
                let whens = case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when));
                let thens = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                alike(whens.map(AsRef::as_ref), schema).or_else(|| alike(thens.map(AsRef::as_ref), schema))
            }
            Expr::Placeholder(placeholder) => Some(format!("the parameter `{}`", placeholder.id)),
            _ => None,
        };
        Ok(if wrong.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    visited.map_err(plain)?;
    wrong.map_or(Ok(()), Err)
}

/// The zone that a call's third argument names.
pub(crate) fn zone<'a>(function: &str, id: Option<&Expr>, zones: &'a [Arc<Zone>]) -> Result<&'a Arc<Zone>, String> {
    let known = || zones.iter().map(|z| z.id.as_str()).collect::<Vec<_>>().join(", ");
    match id {
        Some(Expr::Literal(ScalarValue::Utf8(Some(id)), _)) => {
            let zone = zones.iter().find(|z| z.id == *id.as_str());
            zone.ok_or_else(|| format!("no zone `{id}` in `{function}`: the registry knows {}", known()))
        }
        _ => Err(format!("`{function}` is written {function}(lat, lon, 'zone'), the zone being one of {}", known())),
    }
}

/// A text beside a number would be read as one, or fail: that is a mistake of the rule's author.
fn alike<'a>(exprs: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> Option<String> {
    let is_text = |expr: &Expr| match expr.get_type(schema).ok()? {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(true),
        kind => kind.is_numeric().then_some(false),
    };
    let mut known = exprs.into_iter().filter_map(|expr| is_text(expr).map(|text| (expr, text)));
    let (first, text) = known.next()?;
    let (other, _) = known.find(|(_, other)| *other != text)?;
    let said = |text| if text { "a text" } else { "a number" };
    Some(format!("{} is {}, but {} is {}", written(first), said(text), written(other), said(!text)))
}
