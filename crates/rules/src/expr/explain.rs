//! What a compiled expression reads and, for a person who asks why, what each part of it was worth on a row.
//!
//! Invariant: the values told are those that the evaluation itself gives.

use std::collections::BTreeSet;

use super::compile::Condition;
use super::node::Node;
use super::tree::{BoolExpr, NumberExpr, TextExpr};
use super::{Place, Row};

impl Condition {
    /// Every part worth showing, as SQL with its value on `row`: comparisons, their two sides, function calls, columns. Outer ones
    /// first, each once.
    pub(crate) fn explain(&self, row: Row<'_>) -> Vec<(String, String)> {
        let mut lines: Vec<(String, String)> = Vec::new();
        walk(Node::Bool(&self.expr), &mut |node| {
            let joins = matches!(node, Node::Bool(BoolExpr::And(_) | BoolExpr::Or(_) | BoolExpr::Not(_)));
            let mut line = |node: Node<'_>| {
                let sql = node.sql(&self.schema);
                if lines.iter().all(|(known, _)| *known != sql) {
                    lines.push((sql, node.value(row)));
                }
            };
            if !joins && !node.is_literal() {
                line(node);
            }
            for column in node.foreign().into_iter().flat_map(|foreign| foreign.columns.iter()) {
                match column.kind {
                    super::Kind::Number => line(Node::Number(&NumberExpr::Column(column.place))),
                    super::Kind::Text => line(Node::Text(&TextExpr::Column(column.place))),
                }
            }
        });
        lines
    }
}

/// The places read below a node, each once, in order.
pub(crate) fn places(root: Node<'_>) -> Vec<Place> {
    let mut seen = BTreeSet::new();
    walk(root, &mut |node| {
        seen.extend(node.place());
        seen.extend(node.foreign().into_iter().flat_map(|foreign| foreign.columns.iter().map(|c| c.place)));
    });
    seen.into_iter().collect()
}

fn walk<'a>(node: Node<'a>, visit: &mut dyn FnMut(Node<'a>)) {
    visit(node);
    for child in node.children() {
        walk(child, visit);
    }
}
