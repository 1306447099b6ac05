//! What a planned expression may not say, though DataFusion would take it.
//!
//! Invariant: what passes depends on nothing but its row and compares only like with like.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};
use huong_types::Zone;

use super::functions::{IN_ZONE, ZONE_DISTANCE};
use super::sql::plain;

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
            Expr::BinaryExpr(binary) if binary.op.supports_propagation() => alike(&binary.left, [&*binary.right], schema),
            Expr::Between(between) => alike(&between.expr, [&*between.low, &*between.high], schema),
            Expr::InList(list) => alike(&list.expr, &list.list, schema),
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
fn alike<'a>(left: &Expr, others: impl IntoIterator<Item = &'a Expr>, schema: &DFSchema) -> Option<String> {
    let kind = |expr: &Expr| expr.get_type(schema).ok();
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let first = kind(left)?;
    let unlike = |other: &Expr| kind(other).is_some_and(|k| (is_text(&k) && first.is_numeric()) || (is_text(&first) && k.is_numeric()));
    let other = others.into_iter().find(|other| unlike(other))?;
    let name = |kind: &DataType| if is_text(kind) { "a text" } else { "a number" };
    let (left_is, right_is) = (name(&first), name(&kind(other)?));
    Some(format!("{} is {left_is}, but {} is {right_is}", left.human_display(), other.human_display()))
}
