//! The compiler of expressions and what it gives: conditions, numbers and outputs.
//!
//! Invariant: all mistakes are found here; a compiled expression evaluates on every row.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Cast, Expr, ExprSchemable};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Expr as Parsed, ExprWithAlias};
use huong_types::Zone;

use super::explain::places;
use super::foreign::simplifier;
use super::lower::{Lowering, Tree};
use super::node::Node;
use super::select::Select;
use super::sql::{parse, plain, reserved, resolve};
use super::tree::{BoolExpr, NumberExpr, TextExpr};
use super::{Call, Cell, Kind, Place, Row, Schema, check, functions};

/// Holds what DataFusion plans with, and the zones.
pub(crate) struct Compiler {
    pub(super) state: SessionState,
    zones: Arc<[Arc<Zone>]>,
}

/// A boolean expression.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) expr: BoolExpr,
    /// For the names of the columns.
    pub(crate) schema: Schema,
}

/// A numeric expression.
#[derive(Clone, Debug)]
pub(crate) struct Number(NumberExpr);

/// An expression giving a number or a text; a truth gives 1 or 0.
#[derive(Clone, Debug)]
pub(crate) enum Output {
    Number(NumberExpr),
    Truth(BoolExpr),
    Text(TextExpr),
}

impl Compiler {
    pub(crate) fn new(zones: &[Zone]) -> Self {
        let zones: Arc<[Arc<Zone>]> = zones.iter().cloned().map(Arc::new).collect();
        let context = SessionContext::new();
        functions::register(&context, &zones);
        Self { state: context.state(), zones }
    }

    /// An expression that is true, false or NULL.
    pub(crate) fn condition(&self, sql: &str, schema: &Schema) -> Result<Condition, String> {
        match self.compile(sql, schema)? {
            (Tree::Bool(expr), _) => Ok(Condition { expr, schema: schema.clone() }),
            (_, kind) => Err(format!("{}, not a condition", said(&kind))),
        }
    }

    /// An expression that is a number or NULL.
    pub(crate) fn number(&self, sql: &str, schema: &Schema) -> Result<Number, String> {
        match self.compile(sql, schema)? {
            (Tree::Number(expr), _) => Ok(Number(expr)),
            (_, kind) => Err(format!("{}, not a number", said(&kind))),
        }
    }

    /// An expression that is a number, a text or NULL.
    pub(crate) fn value(&self, sql: &str, schema: &Schema) -> Result<Output, String> {
        output(self.compile(sql, schema)?)
    }

    /// One `select` entry over the aggregates of a stream's own `fields`. Its calls are added to `calls` where they are new; in what
    /// is compiled, call i is column i of the row's own part.
    pub(crate) fn select(&self, sql: &str, fields: &Schema, calls: &mut Vec<Call>) -> Result<Output, String> {
        let mut select = Select::new(fields, calls);
        let compiled = parse(sql).and_then(|mut parsed| {
            resolve(&mut parsed, &self.state, fields, Some(&mut select))?;
            self.planned(parsed, &select.schema()?)
        });
        output(compiled.map_err(|message| explained(message, sql, fields))?)
    }

    fn compile(&self, sql: &str, schema: &Schema) -> Result<(Tree, DataType), String> {
        let compiled = self.parsed(sql, schema).and_then(|parsed| self.planned(parsed, schema));
        compiled.map_err(|message| explained(message, sql, schema))
    }

    pub(super) fn parsed(&self, sql: &str, schema: &Schema) -> Result<Parsed, String> {
        let mut parsed = parse(sql)?;
        resolve(&mut parsed, &self.state, schema, None)?;
        Ok(parsed)
    }

    /// The compiled expression and the type it is written in.
    fn planned(&self, parsed: Parsed, schema: &Schema) -> Result<(Tree, DataType), String> {
        let (expr, kind) = self.plan(parsed, schema)?;
        let lowering = Lowering { state: &self.state, schema, zones: &self.zones };
        Ok((lowering.lower(&expr)?, kind))
    }

    /// The coerced expression, a number as Float64, and its type before that.
    pub(super) fn plan(&self, parsed: Parsed, schema: &Schema) -> Result<(Expr, DataType), String> {
        let planned = schema.planned();
        let parsed = ExprWithAlias { expr: parsed, alias: None };
        let expr = self.state.create_logical_expr_from_sql_expr(parsed, planned).map_err(plain)?;
        check::check(&expr, planned, &self.zones)?;
        let expr = simplifier(&self.state, Arc::clone(planned)).coerce(expr, planned).map_err(plain)?;
        let kind = expr.get_type(planned).map_err(plain)?;
        let expr = match kind.is_numeric() && kind != DataType::Float64 {
            true => Expr::Cast(Cast::new(Box::new(expr), DataType::Float64)),
            false => expr,
        };
        Ok((expr, kind))
    }
}

impl Condition {
    pub(crate) fn eval(&self, row: Row<'_>) -> Option<bool> {
        self.expr.eval(row)
    }

    /// What it reads, in order.
    pub(crate) fn columns(&self) -> Vec<Place> {
        places(Node::Bool(&self.expr))
    }
}

impl Number {
    pub(crate) fn eval(&self, row: Row<'_>) -> Option<f64> {
        self.0.eval(row)
    }

    /// What it reads, in order.
    pub(crate) fn columns(&self) -> Vec<Place> {
        places(Node::Number(&self.0))
    }
}

impl Output {
    pub(crate) fn eval(&self, row: Row<'_>) -> Cell {
        match self {
            Self::Number(expr) => expr.eval(row).map_or(Cell::Null, Cell::Number),
            Self::Truth(expr) => expr.eval(row).map_or(Cell::Null, |truth| Cell::Number(f64::from(u8::from(truth)))),
            Self::Text(expr) => expr.eval(row).map_or(Cell::Null, |text| Cell::Text(text.into_owned())),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Number(_) | Self::Truth(_) => Kind::Number,
            Self::Text(_) => Kind::Text,
        }
    }

    /// What it reads, in order.
    pub(crate) fn columns(&self) -> Vec<Place> {
        places(match self {
            Self::Number(expr) => Node::Number(expr),
            Self::Truth(expr) => Node::Bool(expr),
            Self::Text(expr) => Node::Text(expr),
        })
    }
}

fn output((tree, kind): (Tree, DataType)) -> Result<Output, String> {
    match tree {
        Tree::Number(expr) => Ok(Output::Number(expr)),
        Tree::Bool(expr) => Ok(Output::Truth(expr)),
        Tree::Text(expr) => Ok(Output::Text(expr)),
        Tree::Other => Err(format!("{}, not a number or a text", said(&kind))),
    }
}

fn explained(message: String, sql: &str, schema: &Schema) -> String {
    match reserved(sql, schema) {
        Some(reason) => format!("{message} ({reason})"),
        None => message,
    }
}

fn said(kind: &DataType) -> String {
    match kind {
        DataType::Boolean => "a condition".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "a text".to_owned(),
        DataType::Null => "NULL".to_owned(),
        numeric if numeric.is_numeric() => "a number".to_owned(),
        other => format!("a {other}"),
    }
}
