//! The part of an expression that DataFusion evaluates itself, on a batch of one row holding only the columns it uses.
//!
//! Invariant: its numbers obey [`super::finite`] like those of the trees, and what cannot be evaluated is NULL.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, Expr, ExprSchemable, TryCast, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::sql::sqlparser::ast::{self, visit_expressions_mut};
use datafusion::sql::unparser::expr_to_sql;

use super::functions::FINITE;
use super::schema::{Column, arrow};
use super::{Kind, Row, Schema, finite};

#[derive(Debug)]
pub(crate) struct Foreign {
    expr: Arc<dyn PhysicalExpr>,
    /// What it reads.
    pub(crate) columns: Box<[Column]>,
    batch: SchemaRef,
    logical: Expr,
}

impl Foreign {
    /// A coerced expression over `schema`.
    pub(crate) fn new(state: &SessionState, expr: &Expr, schema: &Schema) -> Result<Self, DataFusionError> {
        let refs = expr.column_refs();
        let columns: Box<[Column]> = schema.columns().iter().filter(|c| refs.iter().any(|r| r.name == c.name)).cloned().collect();
        let planned = DFSchema::try_from(arrow(&columns))?;
        let batch = Arc::clone(planned.inner());
        let guarded = guard(expr.clone(), &planned)?;
        // Some functions, `coalesce` among them, exist only as what they are simplified to.
        let simple = simplifier(state, Arc::new(planned.clone())).simplify(guarded)?;
        Ok(Self { expr: state.create_physical_expr(simple, &planned)?, columns, batch, logical: expr.clone() })
    }

    /// As it would be written, for explanations.
    pub(crate) fn sql(&self) -> String {
        written(&self.logical)
    }

    pub(crate) fn number(&self, row: Row<'_>) -> Option<f64> {
        match self.value(row).ok()? {
            ScalarValue::Float64(x) => x.and_then(finite),
            _ => None,
        }
    }

    pub(crate) fn truth(&self, row: Row<'_>) -> Option<bool> {
        match self.value(row).ok()? {
            ScalarValue::Boolean(x) => x,
            _ => None,
        }
    }

    pub(crate) fn text(&self, row: Row<'_>) -> Option<Arc<str>> {
        self.value(row).ok()?.try_as_str().flatten().map(Arc::from)
    }

    pub(crate) fn value(&self, row: Row<'_>) -> Result<ScalarValue, DataFusionError> {
        let column = |column: &Column| -> ArrayRef {
            match column.kind {
                Kind::Number => Arc::new(Float64Array::from(vec![row.number(column.place)])),
                Kind::Text => Arc::new(StringArray::from(vec![row.text(column.place).map(AsRef::as_ref)])),
            }
        };
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let columns = self.columns.iter().map(column).collect();
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.batch), columns, &options)?;
        match self.expr.evaluate(&batch)? {
            ColumnarValue::Scalar(value) => Ok(value),
            ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0),
        }
    }
}

pub(crate) fn simplifier(state: &SessionState, schema: DFSchemaRef) -> ExprSimplifier {
    let context = SimplifyContext::builder().with_schema(schema).with_config_options(Arc::clone(state.config_options()));
    ExprSimplifier::new(context.build())
}

/// A planned expression as SQL, with the names as rules write them.
pub(crate) fn written(expr: &Expr) -> String {
    let Ok(mut sql) = expr_to_sql(expr) else {
        return expr.human_display().to_string();
    };
    let ControlFlow::Continue::<Infallible>(()) = visit_expressions_mut(&mut sql, |part| {
        if let ast::Expr::Identifier(name) = part {
            name.quote_style = None;
        }
        ControlFlow::Continue(())
    });
    sql.to_string()
}

/// The expression with [`super::finite`] applied where numbers arise, and casts that give NULL for what they cannot read.
pub(crate) fn guard(expr: Expr, schema: &DFSchema) -> Result<Expr, DataFusionError> {
    let guarded = expr.transform_up(|node| {
        let node = match node {
            Expr::Literal(ScalarValue::Float64(x), _) => lit(ScalarValue::Float64(x.and_then(finite))),
            Expr::Cast(cast) => Expr::TryCast(TryCast::new(cast.expr, cast.field.data_type().clone())),
            other => other,
        };
        let arises = matches!(node, Expr::BinaryExpr(_) | Expr::ScalarFunction(_) | Expr::Negative(_) | Expr::TryCast(_));
        if arises && node.get_type(schema)? == DataType::Float64 {
            return Ok(Transformed::yes(FINITE.call(vec![node])));
        }
        Ok(Transformed::yes(node))
    })?;
    Ok(guarded.data)
}
